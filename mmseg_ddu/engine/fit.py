"""fit_gda: from a config and a checkpoint to a checkpoint with densities."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import nn

from mmseg_ddu.fileio import (
    require_writable_folder,
    sha256,
    write_json,
)
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.head_options import explicit
from mmseg_ddu.models.head_state import FORMAT
from mmseg_ddu.models.heads import last_decode_head

from .build import build_ddu, check_classes, read_config
from .checkpoint import HEAD_PREFIX, plain, read_checkpoint, save_checkpoint
from .data import (
    SeededSubset,
    fitting_dataset,
    fitting_loader,
    held_out_images,
)
from .features import labelled_windows
from .fitter import DensityFitter
from .report import log_report, versions


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
    temperature: bool = False,
    device: str | None = None,
    num_workers: int | None = None,
    max_images: int | None = None,
    cfg_options: dict | None = None,
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
        temperature (bool): Also fit a temperature, which divides the logits
            from then on: class as before, calibrated probabilities and
            aleatoric uncertainty. The calibration images were seen in
            training, so it tends to be somewhat low.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        num_workers (int, optional): Of the loader; the config's by default.
        max_images (int, optional): Use a seeded choice of this many images.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        Path: The file written.

    Raises:
        ValueError: If the data and the model do not belong together.
        TypeError: If the model has no DDU form.
    """
    cfg = read_config(config, cfg_options)
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
        dataset = SeededSubset(dataset, max_images, seed)
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
        temperature=temperature,
    )
    if is_main_process():
        report.update(
            format=FORMAT,
            head=explicit(model_cfg.get('gda_head') or {}),
            config=str(cfg.filename),
            checkpoint=str(checkpoint),
            checkpoint_sha256=sha256(checkpoint),
            versions=versions(),
        )
        _write(out, model, meta, dataset.metainfo, plain(report))
    return out


def _write(
    out: Path, model: nn.Module, meta: dict, dataset_meta: dict, report: dict
) -> None:
    """The new checkpoint, the report beside it, and a summary."""
    kept = {k: meta[k] for k in ('cfg', 'epoch', 'iter', 'seed') if k in meta}
    kept['dataset_meta'] = {
        **{key: dataset_meta.get(key) for key in ('classes', 'palette')},
        **(meta.get('dataset_meta') or {}),
    }
    kept['gda'] = report
    save_checkpoint(out, model.state_dict(), kept)
    write_json(out.with_suffix('.json'), report)
    log_report(report, kept['dataset_meta'], out)


def default_output(checkpoint: Path) -> Path:
    """``dir/name.pth`` -> ``dir/name_gda.pth``."""
    return checkpoint.with_name(f'{checkpoint.stem}_gda.pth')


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
    unreadable = sum(all_gather_object(unreadable), [])
    if unreadable and len(unreadable) == total:
        raise ValueError(
            f'None of the {total} training images can be read; the first '
            f'error was: {unreadable[0]["error"]}'
        )
    return dict(fitter.finalize(), unreadable=unreadable)


def _update(
    fitter: DensityFitter, model: nn.Module, index: int, item: dict
) -> None:
    windows = labelled_windows(model, item, fitter.ignore_index)
    for number, window in enumerate(windows):
        fitter.update(window.features, window.labels, index, number)
