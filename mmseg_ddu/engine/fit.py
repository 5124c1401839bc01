"""fit_gda: from a config and a checkpoint to a checkpoint with densities."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import Dataset

from mmseg_ddu.fileio import require_writable_file, sha256, write_json
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.gda_head import FORMAT

from .build import build_ddu, check_classes, read_config
from .checkpoint import (
    digest,
    plain,
    read_checkpoint,
    save_checkpoint,
    without_fit,
)
from .empty_folders import naming_empty_folders
from .fit_meta import test_mode
from .fit_report import log_report, versions
from .fitter import DensityFitter
from .fitting_data import (
    SeededSubset,
    evaluation_pipeline,
    fitting_dataset,
    fitting_dataset_config,
    held_out_images,
    image_names,
)
from .ranks import together
from .saved_fit import SavedFit
from .training_pass import TrainingPass


def fit_gda(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    gda_head: dict | None = None,
    extra_heads: dict[str, dict] | None = None,
    pixels_per_class: int | None = 512,
    calibration_fraction: float = 0.2,
    calibration_pixels: int = 16384,
    seed: int = 0,
    temperature: bool = False,
    device: str | None = None,
    num_workers: int | None = None,
    max_images: int | None = None,
    cfg_options: dict | None = None,
    save_every: float | None = None,
    resume: bool = False,
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
            ``dict(components=4)``.
        extra_heads (dict[str, dict], optional): Those of further heads by
            name, each with a map ``pred_epistemic_NAME``.
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
        save_every (float, optional): Write the state of the fit after so
            many seconds, and on Ctrl-C or SIGTERM, into the folder ``<out
            stem>.unfinished``, which goes when the fit is written.
        resume (bool): Go on from that state; every number comes out as
            without the interruption.

    Returns:
        Path: The file written.

    Raises:
        ValueError: If the data and the model, or the state and the fit, do
            not belong together.
        RankError: If another process has failed.
        Interrupted: A KeyboardInterrupt, after the state was written.
        TypeError: If the model has no DDU form.
    """
    options = dict(
        pixels_per_class=pixels_per_class,
        calibration_fraction=calibration_fraction,
        calibration_pixels=calibration_pixels,
        seed=seed,
        temperature=temperature,
    )
    checkpoint = Path(checkpoint)
    out = Path(out) if out else default_output(checkpoint)
    with together():
        cfg = read_config(config, cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        content = read_checkpoint(checkpoint)
        require_writable_file(out)
        model_cfg = to_ddu_model(cfg.model, gda_head, extra_heads)
        # Not with the densities of an earlier fit.
        weights = without_fit(content['state_dict'])
        model = build_ddu(model_cfg, weights, str(checkpoint), device)
        with naming_empty_folders(cfg.get('train_dataloader')):
            data = fitting_dataset_config(cfg)
            dataset = fitting_dataset(data)
        if max_images is not None:
            dataset = SeededSubset(dataset, max_images, seed)
        meta = content['meta']
        check_classes(model, dataset.metainfo, meta.get('dataset_meta'))
        if num_workers is None:
            num_workers = cfg.train_dataloader.get('num_workers', 0)
        file_digest = sha256(checkpoint)
        saved = None
        if save_every is not None or resume:
            belongs = dict(
                checkpoint=file_digest,
                **_identity(data, model_cfg, dataset),
                device=next(model.parameters()).device.type,
                **options,
            )
            saved = SavedFit(out, belongs, save_every, resume)

    report = fit_densities(model, dataset, num_workers, saved=saved, **options)
    with together():
        if is_main_process():
            report.update(
                _origin(cfg, model_cfg),
                checkpoint=str(checkpoint),
                checkpoint_sha256=file_digest,
            )
            _write(out, model, meta, dataset.metainfo, plain(report))
    if saved:
        saved.remove()
    return out


def _identity(data: dict, model_cfg: dict, dataset: Dataset) -> dict:
    """What the model and the images of a fit are, in short plain values."""
    heads = ('gda_head', 'extra_heads')
    network = {k: v for k, v in model_cfg.items() if k not in heads}
    return dict(
        heads=[model_cfg.get(name) or {} for name in heads],
        model=digest(network),
        images=len(dataset),
        image_files=digest(image_names(dataset)),
        data=digest(data),
    )


def _origin(cfg: Config, model_cfg: dict) -> dict:
    """Where the densities of a report come from."""
    return dict(
        format=FORMAT,
        head=dict(model_cfg.get('gda_head') or {}),
        extra_heads=dict(model_cfg.get('extra_heads') or {}),
        test_mode=test_mode(
            model_cfg.get('test_cfg'), evaluation_pipeline(cfg)
        ),
        config=str(cfg.filename),
        versions=versions(),
    )


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
    dataset: Dataset,
    num_workers: int = 0,
    *,
    calibration_fraction: float = 0.2,
    seed: int = 0,
    saved: SavedFit | None = None,
    **options,
) -> dict:
    """Fit the densities of a built model (DDUMixin) in eval mode.

    Args:
        dataset: Items as mmseg's, with ``gt_sem_seg``.
        saved (SavedFit, optional): Where the state of the fit is kept.
        options: Of :class:`DensityFitter`; all others as of :func:`fit_gda`.

    Returns:
        dict: The report of :meth:`DensityFitter.finalize`.
    """
    with together():
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
        total = len(dataset)
        fitter = DensityFitter(
            model,
            held_out=held_out_images(total, calibration_fraction, seed),
            seed=seed,
            **options,
        )
        images = TrainingPass(fitter, dataset, num_workers, saved)
    images.look()
    images.run()
    fitter.synchronize()
    if fitter.held_out:
        with together():
            fitter.fit_others()
        images.run_held_out()
    fitter.join()
    unreadable = fitter.sums.unreadable
    with together():
        if unreadable and len(unreadable) == total:
            raise ValueError(
                f'None of the {total} training images can be read; the first '
                f'error was: {unreadable[0]["error"]}'
            )
        without_maps = fitter.fit_all()
    if without_maps:
        images.calibrate()
    with together():
        return fitter.finalize()
