"""A segmentor without a network: maps are simple functions of the pixels.

For tests of what happens to predictions, with all fields of a fitted model.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE
from mmseg_ddu.registry import MODELS

CLASSES = ('ground', 'sky', 'tree', 'house')
LOST = 7  # the value of a pixel without a score, in all channels


class FittedHead(nn.Module):
    """What is asked of a density head."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('fitted', torch.tensor(True))

    def require_fitted(self) -> None:
        """It is."""


@MODELS.register_module()
class StandIn(nn.Module):
    """Predicts from the brightness of a pixel.

    Args:
        channel (int): The colour that is strange.
        sampled (bool): As MC dropout: no percentiles, and every prediction
            is another.
        extra_heads (tuple): Names of further densities.
        in_channels (int): Of the images.
    """

    out_channels = len(CLASSES)
    test_cfg = MappingProxyType({'mode': 'whole'})

    def __init__(
        self,
        channel: int = 0,
        sampled: bool = False,
        extra_heads=(),
        in_channels: int = 3,
        **_,
    ) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(in_channels, 1, 1)  # to ask for channels
        self.weight = nn.Parameter(torch.ones(1))
        self.channel, self.sampled = channel, sampled
        if not sampled:
            self.gda_head = FittedHead()
            self.extra_heads = nn.ModuleDict(
                {name: FittedHead() for name in extra_heads}
            )

    def map_range(self, name: str) -> tuple[float, float]:
        return (0.0, 8.0) if name == 'total' else (-100.0, 60.0)

    def percentile(self, name: str, values: Tensor) -> Tensor:
        """Like a map's share of training pixels, exact to invert."""
        steep = dict(aleatoric=4.0, total=1.0).get(name, 0.1)
        low = -60.0 if name.startswith('epistemic') else 0.0
        return 1 - torch.exp(-steep * (values - low).clamp_min(0))

    @torch.no_grad()
    def test_step(self, data: dict) -> list:
        return [
            self._predict(image.float(), sample)
            for image, sample in zip(data['inputs'], data['data_samples'])
        ]

    def _predict(self, image: Tensor, sample):
        shares = image / 256
        top = math.log(len(CLASSES))
        maps = dict(
            aleatoric=top * (1 - shares[1]),
            epistemic=120 * shares[self.channel] ** 2 - 60,
        )
        maps['total'] = (maps['aleatoric'] + maps['epistemic'] / 60 + 1) * 2
        classes = (shares.mean(0) * len(CLASSES)).long()
        if self.sampled:
            noise = torch.rand(image.shape[1:])
            maps = dict.fromkeys(MAPS, top * noise)
        lost = (image == LOST).all(0)
        for name in MAPS[1:]:
            maps[name][lost] = WORST
        for name in getattr(self, 'extra_heads', ()):
            maps[f'epistemic_{name}'] = maps['epistemic'] / 2
        fields = dict(pred_sem_seg=classes)
        for name, values in maps.items():
            fields[f'pred_{name}'] = values
            if not self.sampled:
                share = self.percentile(name, values)
                fields[f'pred_{name}{PERCENTILE}'] = share
        for name, values in fields.items():
            sample.set_data({name: PixelData(data=values[None])})
        if not self.sampled:
            novelty = float(image.std() / 20)
            share = 1 - math.exp(-novelty)
            news = {NOVELTY: novelty, NOVELTY + PERCENTILE: share}
            sample.set_metainfo(news)
        return sample


def make_stand_in(
    folder: Path, loader: dict | None = None, img_suffix='.jpg', **options
) -> tuple[Path, Path]:
    """A config file of the stand-in, for images as they are; a checkpoint."""
    from .conftest import CONFIGS, DEMO

    cfg = Config.fromfile(CONFIGS / 'ddu' / f'ddu_{DEMO}')
    cfg.custom_hooks = []
    cfg.custom_imports = dict(imports=['tests.stand_in'])
    cfg.model = dict(type='mmseg_ddu.StandIn', **options)
    cfg.test_dataloader.dataset.img_suffix = img_suffix
    cfg.test_dataloader.dataset.pipeline = [
        loader or dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    meta = dict(dataset_meta=dict(classes=list(CLASSES)))
    content = dict(meta=meta, state_dict=MODELS.build(cfg.model).state_dict())
    torch.save(content, folder / 'fitted_gda.pth')
    cfg.dump(folder / 'config.py')
    return folder / 'config.py', folder / 'fitted_gda.pth'
