"""Exported maps of a stand-in."""

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.apis import export, rank_images
from tests.stand_in import make_stand_in


@pytest.fixture(scope='module')
def stand_in(tmp_path_factory):
    return make_stand_in(tmp_path_factory.mktemp('stand_in'))


def write_photos(folder, seed, count=4):
    """Of several sizes and brightnesses."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = rng.integers(24, 60, 2)
        base = rng.integers(20, 200)
        noise = rng.integers(8, 50, (height // 8 + 1, width // 8 + 1, 3))
        pixels = np.kron(base + noise, np.ones((8, 8, 1), int))
        picture = Image.fromarray(pixels[:height, :width].astype(np.uint8))
        picture.save(folder / f'{seed}_ä {number}.png')
    return folder


@pytest.fixture(scope='module')
def maps(stand_in, tmp_path_factory):
    """A function from a number to an export."""
    made = {}

    def make(seed=0, **options):
        key = seed, *options.items()
        if key not in made:
            folder = tmp_path_factory.mktemp('maps')
            photos = write_photos(folder / 'photos', seed)
            export(*stand_in, photos, folder / 'maps', **options)
            made[key] = folder / 'maps'
        return made[key]

    return make


@pytest.fixture
def rank(tmp_path):
    def run(*sources, purpose='review', out='review.csv', **options):
        options = {'budget': 4, **options}
        return rank_images(
            *sources, purpose=purpose, out=tmp_path / out, **options
        )

    return run
