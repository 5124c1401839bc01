"""A stand-in for a fitted network, and few small images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.stand_in import make_stand_in


@pytest.fixture(scope='session')
def tiny(tmp_path_factory) -> tuple[Path, Path]:
    """Arguments of export(): config and checkpoint."""
    return make_stand_in(tmp_path_factory.mktemp('tiny'))


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six images and a damaged one, in two folders."""
    folder = tmp_path / 'photos'
    (folder / 'below').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(6):
        pixels = rng.integers(0, 255, (20 + index, 24, 3), np.uint8)
        path = folder / ('below' if index % 2 else '') / f'{index}.png'
        Image.fromarray(pixels).save(path)
    (folder / '3.jpg').write_bytes(b'no image')
    return folder
