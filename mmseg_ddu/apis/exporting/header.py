"""What the manifest says of an export as a whole."""

from __future__ import annotations

import os

from torch import nn

from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.engine.checkpoint import digest, plain
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.fitting_data import evaluation_pipeline
from mmseg_ddu.engine.tta_pipeline import tta_pipeline
from mmseg_ddu.fileio import sha256

from .one_image import UNUSUAL

PNG = (
    'value = png_low + pixel / 65535 * (png_high - png_low); values outside '
    'are clipped'
)


def describe(
    model: nn.Module,
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    writer: MapWriter,
    tta: bool,
    max_pixels: int,
) -> dict:
    """All that determines the maps, and how to read them."""
    meta, cfg = model.dataset_meta, model.cfg
    steps = tta_pipeline(cfg) if tta else evaluation_pipeline(cfg)
    header = dict(
        maps={
            name: dict(unit=s.unit, png_low=s.low, png_high=s.high, png=PNG)
            for name, s in writer.scales.items()
        },
        unusual='unusual_share: pixels whose percentile of the total '
        f'uncertainty is above {UNUSUAL}',
        classes=meta.get('classes') or [],
        palette=meta.get('palette') or [],
        model=type(model).__name__,
        config=str(config),
        # Of the network and of what is done to images.
        config_sha256=digest([cfg.model, steps], 64),
        checkpoint=str(checkpoint),
        checkpoint_sha256=sha256(checkpoint),
        tta=tta,
        formats=list(writer.formats),
        max_pixels=max_pixels,
        versions=versions(),
    )
    return plain(header)
