"""The labelled images that the densities are fitted on."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator, Sequence

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Dataset, Subset

from mmseg_ddu.registry import DATASETS

WRAPPED = ('dataset', 'datasets')
REPEATING = ('RepeatDataset', 'ClassBalancedDataset')


def leaf_datasets(dataset: dict) -> Iterator[dict]:
    """The data set configs inside wrappers and concatenations."""
    inner = [dataset[key] for key in WRAPPED if key in dataset]
    if not inner:
        yield dataset
    for value in inner:
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield from leaf_datasets(item)


def without_repeats(dataset: dict) -> dict:
    """Strip the wrappers that only show images more often."""
    while str(dataset.get('type', '')).split('.')[-1] in REPEATING:
        dataset = dataset['dataset']
    return dataset


def _step_types(pipeline: list[dict]) -> list[str]:
    return [str(step['type']).split('.')[-1] for step in pipeline]


def loads_annotations(step: dict) -> bool:
    """Whether a pipeline step loads labels."""
    kind = str(step['type']).split('.')[-1]
    return kind.startswith('Load') and 'Annotations' in kind


def _evaluation_datasets(cfg: Config) -> Iterator[dict]:
    """The first data set of the test loader, and of the validation's."""
    for name in ('test_dataloader', 'val_dataloader'):
        if cfg.get(name) is not None:
            yield next(leaf_datasets(cfg[name]['dataset']))


def image_suffix(cfg: Config) -> str | None:
    """``img_suffix`` of the test (or validation) images, if it is set."""
    suffixes = (d.get('img_suffix') for d in _evaluation_datasets(cfg))
    return next(filter(None, suffixes), None)


def evaluation_pipeline(cfg: Config) -> list[dict]:
    """The pipeline of the config's test (or validation) images.

    Raises:
        ValueError: If the config has neither.
    """
    for dataset in _evaluation_datasets(cfg):
        if dataset.get('pipeline'):
            return copy.deepcopy(list(dataset['pipeline']))
    raise ValueError(
        'The config has no test_dataloader or val_dataloader with a '
        'pipeline, so it is not known how images are prepared for a '
        'prediction.'
    )


def fitting_pipeline(test_pipeline: list[dict], train_pipeline: list[dict]):
    """Test-time images with the training labels.

    The step that loads the labels is taken from the training pipeline, so
    that a test step that needs more than the labels is not asked for it.
    """
    labels = [step for step in train_pipeline if loads_annotations(step)]
    if not labels:
        labels = [step for step in test_pipeline if loads_annotations(step)]
    if not labels:
        raise ValueError(
            'Neither the training nor the test pipeline loads annotations; '
            'the densities need labelled images.'
        )
    steps = [step for step in test_pipeline if not loads_annotations(step)]
    kinds = _step_types(steps)
    at = next(
        (i for i, kind in enumerate(kinds) if kind.startswith('Pack')),
        len(steps),
    )
    return steps[:at] + copy.deepcopy(labels[:1]) + steps[at:]


def fitting_dataset_config(cfg: Config) -> dict:
    """The config of the training images, prepared as for a test.

    Raises:
        ValueError: If the config has no training data.
    """
    if cfg.get('train_dataloader') is None:
        raise ValueError(
            'The config has no train_dataloader; the densities are fitted on '
            'the training images.'
        )
    dataset = without_repeats(copy.deepcopy(cfg.train_dataloader['dataset']))
    test_pipeline = evaluation_pipeline(cfg)
    for leaf in leaf_datasets(dataset):
        leaf['pipeline'] = fitting_pipeline(
            test_pipeline, list(leaf.get('pipeline') or [])
        )
        # In test mode a data set does not replace an unreadable image by
        # another one.
        leaf['test_mode'] = True
    return dataset


def fitting_dataset(cfg: Config) -> Dataset:
    """The data set of :func:`fitting_dataset_config`."""
    return DATASETS.build(fitting_dataset_config(cfg))


class _Indexed(Dataset):
    """Items with their number; an unreadable one comes as its error."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int):
        try:
            return index, self.dataset[index], None
        except Exception as error:  # whatever a decoder raises
            return index, None, f'{type(error).__name__}: {error}'


def share_of_rank(total: int) -> range:
    """The images of this process: every so-manieth, none twice."""
    rank, world = get_dist_info()
    return range(rank, total, world)


def fitting_loader(
    dataset: Dataset, images: Sequence[int], num_workers: int = 0
) -> DataLoader:
    """A finite loader over some images, in their order.

    Its batches are lists of one (number, item, error).
    """
    return DataLoader(
        Subset(_Indexed(dataset), images),
        batch_size=1,
        num_workers=num_workers,
        collate_fn=list,
        worker_init_fn=leave_signals_to_the_main_process,
    )


def leave_signals_to_the_main_process(worker: int) -> None:
    """Ctrl-C reaches the workers too, and they would die on the spot."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def image_names(dataset: Dataset) -> list[str]:
    """Paths of the images, or an empty list where they are not known."""
    if isinstance(dataset, Subset):
        names = image_names(dataset.dataset)
        return [names[index] for index in dataset.indices] if names else []
    if not hasattr(dataset, 'get_data_info'):
        return []
    infos = map(dataset.get_data_info, range(len(dataset)))
    return [str(info.get('img_path')) for info in infos]


def as_batch(item: dict) -> dict:
    """One item of a data set as a batch of one."""
    return pseudo_collate([item])


MOST_HELD_OUT = 256


def held_out_images(total: int, fraction: float, seed: int) -> list[int]:
    """A seeded choice of images; none if there are fewer than two.

    At most 256: more would not make percentiles more exact.
    """
    if not 0 <= fraction < 1:
        raise ValueError(
            f'Expected calibration_fraction in [0, 1), but got {fraction}.'
        )
    if total < 2 or fraction == 0:
        return []
    count = min(max(1, round(fraction * total)), MOST_HELD_OUT)
    return seeded_order(total, seed)[:count]


def seeded_order(total: int, seed: int) -> list[int]:
    """A permutation of the images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(total, generator=generator).tolist()


class SeededSubset(Subset):
    """A seeded choice of images that still looks like a data set."""

    def __init__(self, dataset, size: int, seed: int) -> None:
        dataset.full_init()
        order = seeded_order(len(dataset), seed)
        super().__init__(dataset, sorted(order[:size]))
        self.metainfo = dataset.metainfo
