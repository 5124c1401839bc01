"""One network as plain, DDU and MC dropout, weights shared."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from benchmarks.drawn_images import drawn_images
from mmseg_ddu.core.dropout import active_dropout, dropout_modules
from mmseg_ddu.engine.checkpoint import load_weights, without_fit
from mmseg_ddu.engine.fit import fit_densities
from mmseg_ddu.models.convert import (
    to_ddu_model,
    to_mc_dropout_model,
    to_plain_model,
)
from mmseg_ddu.registry import MODELS

from .densities import HEADS

PARTS = ('backbone', 'neck', 'decode_head')
FIT_IMAGES, FIT_SIZE = 2, (256, 256)


def build_variants(
    cfg: Config,
    state_dict: dict[str, Tensor] | None,
    device: torch.device,
    gda_head: dict | None = None,
    num_passes: int = 5,
) -> dict[str, nn.Module]:
    """Build all forms of a config's network around one set of weights.

    The densities are fitted on drawn images: a cost does not depend on
    where the Gaussians lie.

    Args:
        cfg (Config): An mmseg config.
        state_dict (dict, optional): Weights; random ones without.
        device (torch.device): Where it runs.
        gda_head (dict, optional): Arguments of the default density head.
        num_passes (int): T of MC dropout.

    Returns:
        dict[str, nn.Module]: ``plain``, ``ddu_default``,
        ``ddu_every_cell``, and ``mc_dropout`` if the network has dropout.
    """
    model = dict(cfg.model, pretrained=None)
    plain = revert_sync_batchnorm(MODELS.build(to_plain_model(model)))
    if state_dict is not None:
        load_weights(plain, without_fit(state_dict), 'the checkpoint')
    variants = dict(plain=plain.to(device).eval())
    images = drawn_images(FIT_IMAGES, FIT_SIZE, plain.num_classes)
    heads = dict(default=gda_head or {}, **HEADS)
    for name, options in heads.items():
        ddu = _around(plain, to_ddu_model(model, options)).to(device)
        fit_densities(ddu, images, calibration_fraction=0)
        variants[f'ddu_{name}'] = ddu
    if type(plain).__name__ == 'EncoderDecoder' and dropout_modules(plain):
        sampled = to_mc_dropout_model(model, num_passes=num_passes)
        variants['mc_dropout'] = _around(plain, sampled).to(device)
    return variants


def _around(plain: nn.Module, model_cfg: dict) -> nn.Module:
    """Another form of a network, with the same modules in it."""
    model = MODELS.build(model_cfg)
    for name in PARTS:
        if hasattr(plain, name):
            setattr(model, name, getattr(plain, name))
    return model.eval()


@torch.no_grad()
def sampled_whole(plain: nn.Module, inputs: Tensor, meta: list, passes: int):
    """MC dropout as it is usually done: T passes of the whole network."""
    with active_dropout(plain):
        return mean_probabilities([plain] * passes, inputs, meta)


@torch.no_grad()
def mean_probabilities(members: list, inputs: Tensor, meta: list) -> Tensor:
    """Average of the members' probabilities: an ensemble."""
    total: Tensor | float = 0.0
    for member in members:
        total = total + member.encode_decode(inputs, meta).softmax(1)
    return total / len(members)
