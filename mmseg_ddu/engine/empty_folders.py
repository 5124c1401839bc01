"""Data sets without images say which folder and suffix they looked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dataset import BaseDataset

from mmseg_ddu.registry import DATASETS

from .fitting_data import bare_datasets


@contextmanager
def naming_empty_folders(*configs: dict | None) -> Iterator[None]:
    """Inside, mmengine builds data sets, and fails on those without images.

    What it says then is about arrays.

    Args:
        configs (dict, optional): Those of the data sets.

    Raises:
        ValueError: Instead, with folder and suffix.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        for config in filter(None, configs):
            for bare in bare_datasets(config):
                _require_images(bare, error)
        raise


def _require_images(config: dict, error: Exception) -> None:
    try:
        dataset = DATASETS.build(dict(config, lazy_init=True))
    except Exception:  # the error that is there says more
        return
    if not isinstance(dataset, BaseDataset):
        return
    try:
        if dataset.load_data_list():
            return
    except FileNotFoundError:
        pass
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
