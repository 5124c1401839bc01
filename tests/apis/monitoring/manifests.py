"""Manifests as an export writes them, of numbers instead of images."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

from mmseg_ddu.models.map_names import MAPS

CLASSES = ['road', 'cat', 'tree']
SIDE = 100


def row(name, rng, novelty=0.0, unusual=0.0, cat=0.0, noise=0.0, **changes):
    """An image; ordinary ones vary, and the arguments move their means."""
    share = np.clip(rng.beta(2, 8) + cat, 0, 1)
    cats = int(share * SIDE**2)
    distance = 4 + rng.gamma(2) + novelty
    # Of three channels; the details of one pixel come behind six others.
    statistics = np.random.default_rng(zlib.crc32(name.encode())).normal(
        size=20
    )
    statistics[6:9] += noise
    return dict(
        name=name,
        image=f'photos/{name}.png',
        height=SIDE,
        width=SIDE,
        **{f'{each}_mean': 1.0 for each in MAPS},
        lost_share=0.0,
        unusual_share=float(np.clip(rng.beta(2, 30) + unusual, 0, 1)),
        image_novelty=distance,
        image_statistics=statistics.tolist(),
        image_novelty_percentile=float(1 - np.exp(-max(0, distance - 4) / 2)),
        class_pixels={'0': SIDE**2 - cats + 1, '1': cats + 1},
        files={'class': f'class/{name}.png'},
        **changes,
    )


def rows(count, seed=0, prefix='a', **moved):
    rng = np.random.default_rng(seed)
    return [row(f'{prefix}{n:04d}', rng, **moved) for n in range(count)]


def write(folder: Path, images, **changes) -> Path:
    """A manifest; its folder."""
    folder.mkdir(exist_ok=True)
    manifest = dict(
        maps={n: dict(unit='nats', png_low=0, png_high=1) for n in MAPS},
        classes=CLASSES,
        palette=[[0, 0, 0]] * len(CLASSES),
        weights_sha256='a' * 64,
        config_sha256='b' * 64,
        tta=False,
        images=images,
    )
    (folder / 'manifest.json').write_text(json.dumps({**manifest, **changes}))
    return folder
