"""Data sets without images say which files they looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmengine.dataset import BaseDataset

from mmseg_ddu.registry import DATASETS, bare_type

from .fitting_data import bare_datasets


@contextmanager
def naming_empty_folders(*configs: dict | None) -> Iterator[None]:
    """Inside, mmengine builds data sets, and fails on those without images.

    What it says then is about arrays, or an assertion without a word.

    Args:
        configs (dict, optional): Those of the data sets.

    Raises:
        ValueError: Instead, with folder and suffix, or what is not there.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, AssertionError) as error:
        for config in filter(None, configs):
            for bare in bare_datasets(config):
                _require_images(bare, error)
        raise


def _require_images(config: dict, error: Exception) -> None:
    try:
        dataset = DATASETS.build(dict(config, lazy_init=True))
        if not isinstance(dataset, BaseDataset):
            return
        with suppress(FileNotFoundError):
            if dataset.load_data_list():
                return
    except AssertionError:
        _require_files(config, error)
        return
    except Exception:  # the error that is there says more
        return
    prefix = dataset.data_prefix
    folder = prefix.get('img_path', prefix.get('img', dataset.data_root))
    suffix = getattr(dataset, 'img_suffix', None)
    listed = f' (listed in {dataset.ann_file})' if dataset.ann_file else ''
    ending = f' ends with {suffix!r}' if suffix else ''
    raise ValueError(
        f'{type(dataset).__name__} found no images: nothing in {folder}'
        f'{listed}{ending}. Check data_root, data_prefix, ann_file and '
        'img_suffix in the config.'
    ) from error


def _require_files(config: dict, error: Exception) -> None:
    """Raise ValueError with what a data set is to read and is not there."""
    prefix = config.get('data_prefix') or {}
    names = [config.get('ann_file'), *prefix.values()]
    paths = [
        os.path.join(config.get('data_root') or '', name)
        for name in names
        if isinstance(name, str) and name
    ]
    absent = [path for path in paths if not os.path.exists(path)]
    if absent:
        raise ValueError(
            f'{bare_type(config)} cannot be built: there is no '
            f'{" and no ".join(absent)}. Check data_root, data_prefix and '
            'ann_file in the config.'
        ) from error
