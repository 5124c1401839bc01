"""What the manifest says of an export as a whole."""

from __future__ import annotations

import os

from torch import nn

from mmseg_ddu.apis.map_files import MapWriter
from mmseg_ddu.engine.checkpoint import digest, plain
from mmseg_ddu.engine.fitting_data import evaluation_pipeline
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.tta_pipeline import tta_pipeline
from mmseg_ddu.fileio import sha256

from .rows import UNUSUAL


def describe(
    model: nn.Module,
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    writer: MapWriter,
    tta: bool,
    max_pixels: int,
) -> dict:
    """All that determines the maps, and how to read them."""
    meta = model.dataset_meta
    return plain(
        dict(
            maps={
                name: dict(
                    unit=scale.unit,
                    png_low=scale.low,
                    png_high=scale.high,
                    png='value = png_low + pixel / 65535 * (png_high - '
                    'png_low); values outside are clipped',
                )
                for name, scale in writer.scales.items()
            },
            unusual=f'unusual_share: pixels above percentile {UNUSUAL}',
            classes=meta.get('classes') or [],
            palette=meta.get('palette') or [],
            model=type(model).__name__,
            config=str(config),
            config_sha256=_config_digest(model, tta),
            checkpoint=str(checkpoint),
            checkpoint_sha256=sha256(checkpoint),
            tta=tta,
            pictures=writer.pictures,
            max_pixels=max_pixels,
            versions=versions(),
        )
    )


def _config_digest(model: nn.Module, tta: bool) -> str:
    """Of the network and of what is done to images, options included."""
    cfg = model.cfg
    steps = tta_pipeline(cfg) if tta else evaluation_pipeline(cfg)
    return digest([cfg.model, steps], 64)
