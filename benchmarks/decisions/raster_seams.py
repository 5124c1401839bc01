"""How much two windows disagree about the pixels at the seam of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from mmseg_ddu.apis import init_ddu
from mmseg_ddu.apis.rasters.raster_file import RasterFile, places_may_be_absent
from mmseg_ddu.apis.rasters.window_grid import Tile, tiles
from mmseg_ddu.apis.rasters.window_prediction import (
    WindowPredictor,
    network_channels,
    set_scale,
)
from mmseg_ddu.engine.build import read_config

NEAR = 8  # pixels on each side of a seam
ROWS, COLUMNS, SIDE = 10, 12, 480  # of a mosaic


def draw_mosaic(path: Path, voc: Path) -> None:
    """Photographs of Pascal VOC's val side by side, each made square."""
    import rasterio

    listed = (voc / 'ImageSets/Segmentation/val.txt').read_text().split()
    names = np.random.default_rng(0).permutation(listed)[: ROWS * COLUMNS]
    pixels = np.zeros((3, ROWS * SIDE, COLUMNS * SIDE), np.uint8)
    for number, name in enumerate(names):
        photo = cv2.imread(str(voc / 'JPEGImages' / f'{name}.jpg'))
        square = cv2.resize(photo, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        row, column = divmod(number, COLUMNS)
        rows = slice(row * SIDE, (row + 1) * SIDE)
        columns = slice(column * SIDE, (column + 1) * SIDE)
        pixels[:, rows, columns] = square[..., ::-1].transpose(2, 0, 1)
    count, height, width = pixels.shape
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=count,
        height=height,
        width=width,
        dtype='uint8',
        tiled=True,
    ) as file:
        file.write(pixels)


@places_may_be_absent()
def disagreement(
    config: str,
    checkpoint: str,
    file: str,
    sizes: Iterable[tuple[int, int]],
) -> dict:
    """For each size and overlap of windows, what neighbours in a row say."""
    cfg = read_config(config)
    set_scale(cfg, 1.0)
    model = init_ddu(cfg, checkpoint)
    raster = RasterFile(file, None, network_channels(model))
    predict = WindowPredictor(model, percentiles=True)
    found: dict = dict(network=Path(config).stem, raster=list(raster.shape))
    for window, overlap in sizes:
        grid = list(tiles(*raster.shape, window, overlap, predict.extra))
        parts = list(_at_seams(raster, predict, grid))
        left, right = (np.concatenate(part, 1) for part in zip(*parts))
        found[f'{window}x{overlap}'] = _figures(predict, left, right)
    return found


def _at_seams(
    raster: RasterFile, predict: WindowPredictor, grid: list[Tile]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same pixels of neighbours, each (1 + bands, pixels)."""
    with tempfile.TemporaryDirectory() as folder:
        previous = None
        for before, tile in pairwise([None, *grid]):
            data = raster.read(*tile[:2])
            maps = predict(*data, 'window', Path(folder))
            if before is not None and before.rows == tile.rows:
                seam = tile.kept_columns.start
                near = np.arange(seam - NEAR, seam + NEAR)
                yield tuple(
                    each[:, t.inside[0], near - t.columns.start].reshape(
                        len(each), -1
                    )
                    for each, t in ((previous, before), (maps, tile))
                )
            previous = maps


def _figures(
    predict: WindowPredictor, left: np.ndarray, right: np.ndarray
) -> dict:
    figures: dict = dict(
        pixels=left.shape[1],
        other_class=round(float((left[0] != right[0]).mean()), 4),
    )
    for name, a, b in zip(predict.bands, left[1:], right[1:]):
        apart = np.abs(a - b)
        figures[name] = dict(
            median=round(float(np.median(apart)), 4),
            p95=round(float(np.percentile(apart, 95)), 4),
            correlation=round(float(np.corrcoef(a, b)[0, 1]), 4),
        )
    return figures
