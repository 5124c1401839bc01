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

from mmseg_ddu.registry import DATASETS, bare_type

from .label_steps import image_steps, label_steps, require_metainfo

REPEATING = ('RepeatDataset', 'ClassBalancedDataset')
IMAGES_TO_TRY = 4  # steps on


def bare_datasets(dataset: dict) -> Iterator[dict]:
    """The data set configs inside wrappers and concatenations."""
    inner = dataset.get('datasets', dataset.get('dataset'))
    if inner is None:
        yield dataset
    else:
        for item in inner if isinstance(inner, (list, tuple)) else [inner]:
            yield from bare_datasets(item)


def with_whole_pipelines(dataset: dict, outer: Sequence[dict] = ()) -> dict:
    """The config of a data set whose bare ones have all steps of training.

    Those of the wrappers around it too (``outer``). Wrappers that repeat
    images or mix several into one are left out.
    """
    skipped = dataset.get('skip_type_keys') or ()
    own = dataset.get('pipeline') or ()
    steps = [step for step in own if step['type'] not in skipped] + [*outer]
    if 'datasets' in dataset:
        parts = [with_whole_pipelines(d, steps) for d in dataset['datasets']]
        return dict(dataset, datasets=parts)
    if 'dataset' not in dataset:
        return dict(dataset, pipeline=steps)
    inner = with_whole_pipelines(dataset['dataset'], steps)
    if own or bare_type(dataset) in REPEATING:
        return inner
    return dict(dataset, dataset=inner)


def _evaluation_datasets(cfg: Config) -> Iterator[dict]:
    """The first data set of the test loader, and of the validation's."""
    for name in ('test_dataloader', 'val_dataloader'):
        if cfg.get(name) is not None:
            yield next(bare_datasets(cfg[name]['dataset']))


def image_suffix(cfg: Config) -> str | None:
    """``img_suffix`` of the test (or validation) images, if it is set."""
    suffixes = (d.get('img_suffix') for d in _evaluation_datasets(cfg))
    return next(filter(None, suffixes), None)


def evaluation_pipeline(cfg: Config) -> list[dict]:
    """The pipeline of the config's test (or validation) images.

    Raises:
        ValueError: If the config has neither, or what a prediction needs
            does not come through (:func:`require_metainfo`).
    """
    for dataset in _evaluation_datasets(cfg):
        if dataset.get('pipeline'):
            require_metainfo(dataset['pipeline'])
            return copy.deepcopy(list(dataset['pipeline']))
    raise ValueError(
        'The config has no test_dataloader or val_dataloader with a '
        'pipeline, so it is not known how images are prepared for a '
        'prediction. Give it one; of its data set the pipeline is enough: '
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='"
        "LoadImageFromFile'), dict(type='PackSegInputs')])), with the Resize "
        'between them that the network was tested with, if any.'
    )


def fitting_pipeline(test_pipeline: list[dict], dataset: dict) -> list[dict]:
    """Images as a test prepares them, labels as training sees them.

    Args:
        test_pipeline (list[dict]): That of a prediction.
        dataset (dict): Config of a bare data set of training images.

    Raises:
        ValueError: If a step cannot be told from an augmentation, or the
            data set takes no other pipeline.
    """
    plain = _built(dict(dataset, pipeline=[]))
    infos = _some_infos(plain)
    classes = len(plain.metainfo.get('classes') or ())
    labels = label_steps(dataset['pipeline'], test_pipeline, infos, classes)
    image = image_steps(test_pipeline, labels, infos)
    shared = int(labels[:1] == image[:1])  # the file is read once
    step = dict(
        type='mmseg_ddu.TrainingLabels',
        training=labels[shared:],
        test=image[shared:],
    )
    return [*image[:shared], step]


def _built(config: dict) -> Dataset:
    try:
        return DATASETS.build(config)
    except TypeError as error:
        raise ValueError(
            f'The data set {bare_type(config)} cannot be built with the '
            f'pipeline of the fit ({error}). Let its class take `pipeline` '
            "and pass it on, as mmseg's data sets do."
        ) from error


def _some_infos(dataset: Dataset) -> list[dict]:
    """What a data set gives to its pipeline, for a few images."""
    if not hasattr(dataset, 'get_data_info'):
        return []
    total = len(dataset)
    stride = max(1, total // IMAGES_TO_TRY)
    return [dataset.get_data_info(i) for i in range(0, total, stride)]


def fitting_dataset_config(cfg: Config) -> dict:
    """The config of the training images, prepared as for a test.

    Raises:
        ValueError: If the config has no training data, or a step that makes
            labels cannot be told from an augmentation.
    """
    if cfg.get('train_dataloader') is None:
        raise ValueError(
            'The config has no train_dataloader; the densities are fitted on '
            'the training images.'
        )
    dataset = with_whole_pipelines(cfg.train_dataloader['dataset'])
    dataset = copy.deepcopy(dataset)
    test_pipeline = evaluation_pipeline(cfg)
    for bare in bare_datasets(dataset):
        bare['pipeline'] = fitting_pipeline(test_pipeline, bare)
    return dataset


def fitting_dataset(config: dict) -> Dataset:
    """The data set of :func:`fitting_dataset_config`, each image once."""
    dataset = DATASETS.build(config)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    _stop_replacing(dataset)
    first: dict[tuple, int] = {}
    if hasattr(dataset, 'get_data_info'):
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            paths = info.get('img_path'), info.get('seg_map_path')
            first.setdefault(paths if paths[0] else (index,), index)
    if len(first) in (0, len(dataset)):
        return dataset
    return ChosenImages(dataset, list(first.values()))


def _stop_replacing(dataset: Dataset) -> None:
    """No other image in place of one that cannot be read.

    The list of images is that of training; what follows is a test.
    """
    alone = [dataset.dataset] if hasattr(dataset, 'dataset') else []
    for part in getattr(dataset, 'datasets', alone):
        _stop_replacing(part)
    if hasattr(dataset, 'test_mode'):
        dataset.test_mode = True


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


def share_of_rank(images: Sequence[int]) -> Sequence[int]:
    """Those of this process: every so-manieth, none twice."""
    rank, world = get_dist_info()
    return images[rank::world]


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


def image_names(dataset: Dataset, key: str = 'img_path') -> list[str]:
    """Paths of the images, or an empty list where they are not known.

    Args:
        dataset (Dataset): As mmengine has them, or a subset.
        key (str): Of another file of each image; ``None`` where it has none.
    """
    if isinstance(dataset, Subset):
        names = image_names(dataset.dataset, key)
        return [names[index] for index in dataset.indices] if names else []
    if not hasattr(dataset, 'get_data_info'):
        return []
    infos = map(dataset.get_data_info, range(len(dataset)))
    return [str(info.get(key)) for info in infos]


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


class ChosenImages(Subset):
    """Some images, which still look like a data set."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        super().__init__(dataset, indices)
        self.metainfo = dataset.metainfo

    def full_init(self) -> None:
        """Done before the choice."""


class SeededSubset(ChosenImages):
    """A seeded choice of images."""

    def __init__(self, dataset: Dataset, size: int, seed: int) -> None:
        dataset.full_init()
        order = seeded_order(len(dataset), seed)
        super().__init__(dataset, sorted(order[:size]))
