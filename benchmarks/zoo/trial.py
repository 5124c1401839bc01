"""One model of the zoo: plain, then in its DDU form."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from benchmarks.drawn_images import drawn_images
from mmseg_ddu.engine.build import build_ddu
from mmseg_ddu.engine.fit import fit_densities
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.heads import UnsupportedModelError

from .configs import IMAGE, LARGE, runnable

ASKED = (80, 100)  # size of the predictions
FIELDS = ('pred_epistemic', 'pred_aleatoric', 'pred_sem_seg')
TOLERANCE = 1e-4


def try_model(cfg: Config, report: Callable[[str], None]) -> dict:
    """Build a model plain and in its DDU form, fit, predict, check.

    Args:
        cfg (Config): A config of mmseg.
        report (Callable): Called with the name of each stage that begins:
            ``plain``, then ``ddu``.

    Returns:
        dict: ``status`` ``works``, ``refused``, ``error`` or
        ``unbuildable`` (mmseg itself cannot build or run the plain model
        here), ``reason`` of the last three, and what was measured.
    """
    report('plain')
    init_default_scope('mmseg')
    model_cfg, _ = runnable(cfg.model)
    try:
        if cfg.get('custom_imports'):
            import_modules_from_strings(**cfg.custom_imports)
        plain, reference, images = _run_plain(model_cfg)
    except Exception as error:
        return dict(status='unbuildable', reason=_first_line(error))
    report('ddu')
    try:
        return dict(
            status='works', **_run_ddu(model_cfg, plain, reference, images)
        )
    except UnsupportedModelError as error:
        return dict(status='refused', reason=str(error))
    except Exception as error:
        return dict(status='error', reason=_first_line(error))


def _run_plain(model_cfg: dict):
    torch.manual_seed(0)
    plain = MODELS.build(ConfigDict(model_cfg))
    for size in (IMAGE, LARGE):
        images = drawn_images(3, size, plain.num_classes, ASKED)
        try:
            _settle_norms(plain, images)
            return plain.state_dict(), _predict(plain, images[0]), images
        except RuntimeError:  # some pool over many pixels
            if size == LARGE:
                raise


def _run_ddu(model_cfg, state, reference, images) -> dict:
    model = build_ddu(to_ddu_model(model_cfg), state, 'the plain model', 'cpu')
    fit_densities(model, images, calibration_fraction=0)
    sample = _predict(model, images[0])
    check_sample(sample, reference, model.out_channels)
    epistemic = sample.pred_epistemic.data
    return dict(
        image=list(images[0]['inputs'].shape[1:]),
        parameters=sum(p.numel() for p in model.parameters()),
        epistemic_spread=float(epistemic.std()),
    )


def check_sample(
    sample: SegDataSample, reference: SegDataSample, channels: int
) -> None:
    """Raise ValueError unless all fields are there, sound and unchanged.

    Args:
        sample (SegDataSample): Prediction of the DDU form.
        reference (SegDataSample): Of the plain model.
        channels (int): Of the logits.
    """
    for field in FIELDS:
        data = sample.get(field).data
        if tuple(data.shape) != (1, *ASKED):
            raise ValueError(f'{field} is of shape {tuple(data.shape)}')
        if not torch.isfinite(data).all():
            raise ValueError(f'{field} is not finite')
    top = math.log(max(2, channels)) + TOLERANCE
    aleatoric = sample.pred_aleatoric.data
    if aleatoric.min() < -TOLERANCE or aleatoric.max() > top:
        raise ValueError('pred_aleatoric leaves [0, log C]')
    if not sample.pred_epistemic.data.std() > 0:
        raise ValueError('pred_epistemic is the same everywhere')
    logits, expected = sample.seg_logits.data, reference.seg_logits.data
    scale = expected.abs().max().clamp_min(1)
    if logits.shape != expected.shape:
        raise ValueError(f'seg_logits is of shape {tuple(logits.shape)}')
    if (logits - expected).abs().max() > TOLERANCE * scale:
        raise ValueError('the prediction is not that of the plain model')


@torch.no_grad()
def _settle_norms(model: nn.Module, images: list[dict]) -> None:
    """Statistics of the batch norms, so that depth does not blow up."""
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None  # the plain mean of what it sees
    if norms:
        model.test_step(_copied(images))
    model.eval()


@torch.no_grad()
def _predict(model: nn.Module, item: dict) -> SegDataSample:
    torch.manual_seed(1)  # some heads draw random numbers
    return model.test_step(_copied([item]))[0]


def _copied(items: list[dict]) -> dict:
    """A batch; a prediction writes into its samples."""
    return pseudo_collate(copy.deepcopy(items))


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f'{type(error).__name__}: {text.splitlines()[0] if text else ""}'
