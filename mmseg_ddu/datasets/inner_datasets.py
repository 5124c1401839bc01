"""Changing the data set inside wrappers, in a config."""

from __future__ import annotations

import copy
from collections.abc import Callable

WRAPPED = ('dataset', 'datasets')


def change_inner_datasets(
    dataset: dict, change: Callable[[dict], dict]
) -> dict:
    """The config of a data set with the innermost ones changed.

    A data set that stands in two places is changed in each by itself.

    Args:
        dataset (dict): Config; wrappers and concatenations are gone into.
            It stays as it is.
        change (Callable): From the config of a bare data set, a copy, to
            the new one.
    """
    dataset = copy.deepcopy(dataset)
    for key in WRAPPED:
        if key in dataset:
            inner = dataset[key]
            dataset[key] = (
                change_inner_datasets(inner, change)
                if isinstance(inner, dict)
                else [change_inner_datasets(item, change) for item in inner]
            )
            return dataset
    return change(dataset)
