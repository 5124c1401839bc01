"""fit_gda: from a config and a checkpoint to a checkpoint with densities."""

from __future__ import annotations

import os
from pathlib import Path

import mmengine
import mmseg
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.fileio import (
    require_writable_folder,
    sha256,
    write_json,
)
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.ddu_segmentor import last_decode_head
from mmseg_ddu.version import __version__

from .build import build_ddu, check_classes
from .checkpoint import HEAD_PREFIX, plain, read_checkpoint, save_checkpoint
from .data import as_batch, fitting_dataset, fitting_loader, held_out_images
from .fitter import DensityFitter

CHANCE = 50.0


def fit_gda(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    gda_head: dict | None = None,
    pixels_per_class: int | None = 512,
    calibration_fraction: float = 0.1,
    calibration_pixels: int = 16384,
    seed: int = 0,
    device: str | None = None,
    num_workers: int | None = None,
    max_images: int | None = None,
) -> Path:
    """Fit the densities of a trained model and write a new checkpoint.

    The config needs no change: an ``EncoderDecoder`` is turned into its DDU
    form. The training images go through the test pipeline once, in the
    config's own test mode (whole or slide). Everything in the new file is
    plain tensors and plain types, and the head's configuration stands in
    ``meta['gda']``, so the original config goes on working with it. A report
    is written beside it as JSON.

    Under ``torch.distributed`` every rank takes its share of the images, and
    the result equals that of one process.

    Args:
        config (str or Config): An mmseg config.
        checkpoint (str): Its trained weights.
        out (str, optional): File to write; ``<checkpoint stem>_gda.pth``
            beside the checkpoint by default.
        gda_head (dict, optional): Arguments of :class:`GDAHead`, such as
            ``dict(views='polar')``.
        pixels_per_class (int, optional): Most pixels per class and image.
        calibration_fraction (float): Share of the images that calibrate the
            percentiles before they are merged in.
        calibration_pixels (int): Pixels in that sample.
        seed (int): Of all choices.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        num_workers (int, optional): Of the loader; the config's by default.
        max_images (int, optional): Use a seeded choice of this many images.

    Returns:
        Path: The file written.

    Raises:
        ValueError: If the data and the model do not belong together.
        TypeError: If the model has no DDU form.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    checkpoint = Path(checkpoint)
    out = Path(out) if out else default_output(checkpoint)
    content = read_checkpoint(checkpoint)
    require_writable_folder(out.parent)

    model_cfg = to_ddu_model(cfg.model, gda_head)
    weights = {
        key: value
        for key, value in content['state_dict'].items()
        if not key.startswith(HEAD_PREFIX)  # of an earlier fit
    }
    model = build_ddu(model_cfg, weights, str(checkpoint), device)
    dataset = fitting_dataset(cfg)
    if max_images is not None:
        dataset = _SeededSubset(dataset, max_images, seed)
    meta = content['meta']
    check_classes(model, dataset.metainfo, meta.get('dataset_meta'))
    if num_workers is None:
        num_workers = cfg.train_dataloader.get('num_workers', 0)

    report = fit_densities(
        model,
        dataset,
        num_workers,
        pixels_per_class=pixels_per_class,
        calibration_fraction=calibration_fraction,
        calibration_pixels=calibration_pixels,
        seed=seed,
    )
    if is_main_process():
        kept = {
            k: meta[k] for k in ('cfg', 'epoch', 'iter', 'seed') if k in meta
        }
        kept['dataset_meta'] = {
            **{k: dataset.metainfo.get(k) for k in ('classes', 'palette')},
            **(meta.get('dataset_meta') or {}),
        }
        kept['gda'] = dict(
            report,
            head=model_cfg.get('gda_head') or {},
            config=str(cfg.filename),
            checkpoint=str(checkpoint),
            checkpoint_sha256=sha256(checkpoint),
            versions=versions(),
        )
        save_checkpoint(out, model.state_dict(), kept)
        write_json(out.with_suffix('.json'), plain(kept['gda']))
        log_report(kept['gda'], kept['dataset_meta'], out)
    return out


def default_output(checkpoint: Path) -> Path:
    """``dir/name.pth`` -> ``dir/name_gda.pth``."""
    return checkpoint.with_name(f'{checkpoint.stem}_gda.pth')


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import mmcv

    packages = dict(torch=torch, mmengine=mmengine, mmcv=mmcv, mmseg=mmseg)
    found = {name: p.__version__ for name, p in packages.items()}
    return dict(mmseg_ddu=__version__, **found)


def fit_densities(
    model: nn.Module,
    dataset,
    num_workers: int = 0,
    *,
    calibration_fraction: float = 0.1,
    seed: int = 0,
    **options,
) -> dict:
    """Fit the density head of a built model on a data set.

    Args:
        model (DDUMixin): In eval mode.
        dataset: Items as mmseg's, with ``gt_sem_seg``.
        num_workers (int): Of the loader.
        calibration_fraction (float): Share of images that calibrate.
        seed (int): Of all choices.
        options: Further arguments of :class:`DensityFitter`.

    Returns:
        dict: The report of :meth:`DensityFitter.finalize`, with
        ``unreadable`` images and the reason.

    Raises:
        ValueError: If the images hold no labelled pixel.
    """
    loader, total = fitting_loader(dataset, num_workers)
    fitter = DensityFitter(
        model.gda_head,
        ignore_index=last_decode_head(model).ignore_index,
        held_out=held_out_images(total, calibration_fraction, seed),
        seed=seed,
        **options,
    )
    model.gda_head.reset()
    unreadable = []
    hidden = not is_main_process()
    for batch in track(loader, 'Fitting densities', disable=hidden):
        for index, item, error in batch:
            if error is None:
                _update(fitter, model, index, item)
            else:
                unreadable.append(dict(image=index, error=error))
                MMLogger.get_current_instance().warning(
                    f'Training image {index} cannot be read and is left '
                    f'out: {error}'
                )
    if unreadable and fitter.images == 0 and get_world_size() == 1:
        raise ValueError(
            f'None of the {total} training images can be read; the first '
            f'error was: {unreadable[0]["error"]}'
        )
    return dict(fitter.finalize(), unreadable=unreadable)


def _update(
    fitter: DensityFitter, model: nn.Module, index: int, item: dict
) -> None:
    data = model.data_preprocessor(as_batch(item), False)
    sample = data['data_samples'][0]
    meta = sample.metainfo
    if meta.get('flip'):
        raise ValueError(
            'The test pipeline flips images; the labels for '
            'the fit would not match. Remove the flip.'
        )
    labels = labels_on_input(
        sample.gt_sem_seg.data.squeeze(0),
        meta,
        data['inputs'].shape[2:],
        fitter.ignore_index,
    )
    windows = model.iter_features(data['inputs'], [meta])
    for number, ((y1, y2, x1, x2), features) in enumerate(windows):
        fitter.update(features, labels[y1:y2, x1:x2], index, number)


def labels_on_input(
    labels: Tensor, meta: dict, size: tuple[int, int], void: int = 255
) -> Tensor:
    """Labels as the network sees the image: resized, then padded with void.

    Args:
        labels (Tensor): (H, W) at the original size.
        meta (dict): With ``padding_size`` (left, right, top, bottom), if
            the preprocessor padded the image.
        size (tuple[int, int]): Height and width of the padded input.
        void (int): Label of the padding.
    """
    padding = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
    left, right, top, bottom = padding
    inner = (size[0] - top - bottom, size[1] - left - right)
    resized = F.interpolate(
        labels[None, None].float(), inner, mode='nearest-exact'
    )
    padded = torch.nn.functional.pad(
        resized, tuple(padding), value=float(void)
    )
    return padded[0, 0].long()


def log_report(report: dict, dataset_meta: dict, out: Path) -> None:
    """Say what was fitted, and what is missing."""
    logger = MMLogger.get_current_instance()
    names = list(
        dataset_meta.get('classes') or range(len(report['pixels_per_class']))
    )
    logger.info(
        f'Fitted on {report["images"]} images; vectors per class: '
        + ', '.join(
            f'{name} {count}'
            for name, count in zip(names, report['vectors_per_class'])
        )
    )
    for view in report['views']:
        absent = [names[label] for label in view['absent_classes']]
        if absent:
            logger.warning(
                f'No pixel of {absent} was seen; these classes have weight '
                'zero, and their pixels will look unfamiliar.'
            )
        if view['dead_features']:
            logger.info(
                f'{view["dead_features"]} of {view["num_features"]} '
                f'features of {view["tap"]} never vary.'
            )
    calibration = report['calibration']
    auroc = calibration['mis_AUROC']
    if auroc is not None:
        logger.info(
            'On calibration pixels the epistemic score ranks misclassified '
            f'above correct ones with an AUROC of {auroc:.1f}%.'
        )
    if auroc is not None and auroc < CHANCE:
        logger.warning(
            'That is worse than chance: unsure pixels look familiar to these '
            'densities, so do not read the epistemic map as it is. Try '
            '--gda-options views=class-polar, or longer training.'
        )
    logger.info(f'Wrote {out}')


class _SeededSubset(torch.utils.data.Subset):
    """A seeded choice of images that still looks like a data set."""

    def __init__(self, dataset, size: int, seed: int) -> None:
        dataset.full_init()
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(dataset), generator=generator)
        super().__init__(dataset, sorted(order[:size].tolist()))
        self.metainfo = dataset.metainfo
