"""One network as plain, DDU, MC dropout and ensemble, weights shared."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_ddu.core.dropout import active_dropout, dropout_modules
from mmseg_ddu.engine.checkpoint import FIT_PREFIXES, load_weights
from mmseg_ddu.engine.fit import fit_densities
from mmseg_ddu.models.convert import DDU_TYPES, to_ddu_model
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.registry import MODELS

FAST = dict(views='class-polar')  # with a rank of 64, or half the width
FULL = dict(views='ddu-paper', covariance_type='full', rank=None)
PARTS = ('backbone', 'neck', 'decode_head')


class DrawnImages(Dataset):
    """Smooth random images with random regions as labels.

    Args:
        count (int): Images.
        size (int): Height and width.
        num_classes (int): C.
    """

    def __init__(self, count: int, size: int, num_classes: int) -> None:
        self.count, self.size, self.num_classes = count, size, num_classes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        if index >= self.count:
            raise IndexError(index)
        rng = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 16, 16, generator=rng) * 255
        image = nn.functional.interpolate(coarse, [self.size] * 2)[0]
        regions = torch.randint(self.num_classes, (1, 1, 6, 6), generator=rng)
        labels = nn.functional.interpolate(regions.float(), [self.size] * 2)
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels[0].long()))
        shape = (self.size, self.size)
        sample.set_metainfo(
            dict(ori_shape=shape, img_shape=shape, pad_shape=shape)
        )
        return dict(inputs=image.byte(), data_samples=sample)


@dataclass
class Variants:
    """The network in all its forms.

    Attributes:
        plain (nn.Module): mmseg's own segmentor.
        ddu (nn.Module): With a density head that :meth:`use` exchanges.
        heads (dict[str, nn.Module]): Fitted density heads.
        mc_dropout (nn.Module, optional): None without dropout.
    """

    plain: nn.Module
    ddu: nn.Module
    heads: dict[str, nn.Module] = field(default_factory=dict)
    mc_dropout: nn.Module | None = None

    def use(self, name: str) -> nn.Module:
        """The segmentor with one of the density heads."""
        self.ddu.gda_head = self.heads[name]
        return self.ddu


def build_variants(
    cfg: Config,
    state_dict: dict[str, Tensor] | None,
    device: torch.device,
    gda_head: dict | None = None,
    num_passes: int = 5,
) -> Variants:
    """Build all forms of a config's network around one set of weights.

    The densities are fitted on drawn images: a cost does not depend on
    where the Gaussians lie (early stopping does: without a trained network
    all classes look alike, which is its worst case).

    Args:
        cfg (Config): An mmseg config.
        state_dict (dict, optional): Weights; random ones without.
        device (torch.device): Where it runs.
        gda_head (dict, optional): Arguments of the default density head.
        num_passes (int): T of MC dropout.
    """
    model = dict(to_ddu_model(cfg.model), pretrained=None)
    model['backbone'] = dict(model['backbone'], init_cfg=None)
    plain_types = {ddu: plain for plain, ddu in DDU_TYPES.items()}
    plain_cfg = {k: v for k, v in model.items() if k != 'gda_head'}
    plain_cfg['type'] = plain_types[model['type']]
    plain = revert_sync_batchnorm(MODELS.build(plain_cfg))
    if state_dict is not None:
        kept = {
            key: value
            for key, value in state_dict.items()
            if not key.startswith(FIT_PREFIXES)
        }
        load_weights(plain, kept, 'the checkpoint')
    variants = Variants(plain.to(device).eval(), nn.Identity())
    channels = last_decode_head(plain).conv_seg.in_channels
    fast = dict(FAST, rank=min(64, channels // 2))
    wanted = dict(default=gda_head or {}, fast=fast, full=FULL)
    for name, options in wanted.items():
        built = MODELS.build(to_ddu_model(model, options))
        variants.ddu = _shared(built, plain).to(device).eval()
        images = DrawnImages(2, 256, plain.num_classes)
        fit_densities(variants.ddu, images, calibration_fraction=0)
        variants.heads[name] = variants.ddu.gda_head
    if dropout_modules(plain) and plain_cfg['type'] == 'EncoderDecoder':
        kind = 'mmseg_ddu.MCDropoutEncoderDecoder'
        sampled = dict(plain_cfg, type=kind, num_passes=num_passes)
        built = _shared(MODELS.build(sampled), plain)
        variants.mc_dropout = built.to(device).eval()
    return variants


def _shared(model: nn.Module, plain: nn.Module) -> nn.Module:
    for name in PARTS:
        if hasattr(plain, name):
            setattr(model, name, getattr(plain, name))
    return model


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
