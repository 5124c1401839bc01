"""The export of rasters, one after another, each window by window."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger
from rich.progress import track
from torch import nn

from mmseg_ddu.apis.exporting.journal import is_disk_full
from mmseg_ddu.apis.image_files import find_images
from mmseg_ddu.apis.inference import init_ddu, require_bare_images
from mmseg_ddu.apis.kept_parts import require_same
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.checkpoint import digest, plain, weights_digest
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.fitting_data import evaluation_pipeline
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.fileio import alone_at, require_writable_folder
from mmseg_ddu.visualization.prediction import require_8_bits

from . import geotiff
from .finished_windows import FREE, FinishedWindows
from .raster_file import (
    STATISTICS,
    RasterFile,
    places_may_be_absent,
    require_rasterio,
)
from .window_grid import Tile, check_sizes, tiles
from .window_prediction import (
    WindowPredictor,
    network_channels,
    set_scale,
    thresholds_of,
)

OUTPUTS = ('class', 'uncertainty')
EMPTY = 'empty_windows'


def export_raster(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    files: str | os.PathLike | Sequence[str | os.PathLike],
    out_dir: str | os.PathLike,
    *,
    bands: Sequence[int] | None = None,
    window: int = 1024,
    overlap: int = 256,
    scale: float | None = None,
    percentiles: bool = False,
    device: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    cfg_options: dict | None = None,
) -> list[dict]:
    """Predict rasters and write their maps at their place.

    ``out_dir`` gets for each ``NAME_class.tif``, 8 bits with the colours and
    names of the classes, and ``NAME_uncertainty.tif``, a float32 band for
    the class and each map. Memory does not grow with the raster.

    After Ctrl-C, SIGTERM or a kill, windows that are done are in
    ``NAME.part/``.

    Args:
        config (str): The config the network was trained with.
        checkpoint (str): A ``*_gda.pth`` file.
        files (str or list): Rasters, whatever GDAL reads.
        out_dir (str): Created if need be.
        bands (list[int], optional): Which go into the network, from 1; all
            but alpha by default.
        window (int): Side of what the network sees at once, in pixels of
            the raster.
        overlap (int): What neighbouring windows share; half of it is not
            used of each.
        scale (float, optional): Pixels that the network sees for one of the
            raster, in place of a Resize of the test pipeline.
        percentiles (bool): Also write those of the maps.
        overwrite (bool): Replace what is there.
        resume (bool): Go on with what was stopped.
        device, cfg_options: As in :func:`init_ddu`.

    Returns:
        list[dict]: For each raster ``raster``, ``files``, ``windows`` and
        ``empty_windows``, those without a pixel.

    Raises:
        ImportError: If rasterio is not installed.
        FileExistsError: If outputs are there already.
        ValueError: If bands, test pipeline or settings do not fit.
        BlockingIOError: If another process is at work in ``out_dir``.
        OSError: If a file cannot be read or written.
    """
    require_rasterio()
    if overwrite and resume:
        raise ValueError('Expected overwrite or resume, but got both.')
    if scale is not None and not 0 < scale < math.inf:
        raise ValueError(
            f'Expected scale to be a finite number above 0, but got {scale}.'
        )
    check_sizes(window, overlap)
    cfg = read_config(config, cfg_options)
    set_scale(cfg, scale)
    out_dir = require_writable_folder(out_dir)
    one = isinstance(files, (str, os.PathLike))
    inputs = find_images([files] if one else files)
    import rasterio

    memory = rasterio.Env(GDAL_CACHEMAX=geotiff.CACHE)
    with alone_at(out_dir), memory, places_may_be_absent():
        _require_free(out_dir, inputs, overwrite or resume)
        model = init_ddu(cfg, checkpoint, device)
        require_bare_images(model)
        require_8_bits(model)
        steps = evaluation_pipeline(model.cfg)
        shared = dict(
            checkpoint=Path(checkpoint).name,
            # Fits and thresholds apart, so that what differs is named.
            weights_sha256=weights_digest(checkpoint),
            abstention_threshold=thresholds_of(model),
            config_sha256=digest([model.cfg.model, steps], 64),
            versions=plain(versions()),
            window=window,
            overlap=overlap,
            percentiles=percentiles,
        )
        channels = network_channels(model)
        work = _Work(model, out_dir, resume, shared)
        for path in inputs.values():  # what is wrong is said before the hours
            work.check(RasterFile(path, bands, channels))
        with StopRequest() as stop:
            return [
                work.export(RasterFile(path, bands, channels), name, stop)
                for name, path in inputs.items()
            ]


def _require_free(out_dir: Path, inputs: dict[str, Path], used: bool) -> None:
    """Refuse to write over what is there (unless used), or over an input."""
    rasters = {os.path.realpath(path) for path in inputs.values()}
    for name in inputs:
        outputs = [f'{name}_{kind}.tif' for kind in OUTPUTS]
        for path in (out_dir / part for part in (*outputs, f'{name}.part')):
            if os.path.realpath(path) in rasters:
                raise ValueError(
                    f'{path} is one of the rasters, and an output of another '
                    'one. Choose another folder (--out-dir).'
                )
            if path.is_dir() if path.suffix == '.tif' else path.is_file():
                raise OSError(f'{path} is in the way; choose another folder.')
            if path.exists() and not used:
                raise FileExistsError(
                    f'{path} is there already. Go on with an export that was '
                    'stopped (--resume), or replace it (--overwrite).'
                )


def _warn_of_files_elsewhere(raster: RasterFile) -> None:
    files = raster.sources[1]
    if files:
        more = f' and {len(files) - 1:,} more' if files[1:] else ''
        MMLogger.get_current_instance().warning(
            f'{raster.path} is made of files that are not on this disk '
            f'({files[0]}{more}), so it is not known whether they have '
            'changed since then; if they have, start again with --overwrite.'
        )


class _Work:
    """Exports one raster after another."""

    def __init__(
        self, model: nn.Module, out_dir: Path, resume: bool, settings: dict
    ) -> None:
        self.model, self.out_dir, self.resume = model, out_dir, resume
        self.settings = settings
        self.predict = WindowPredictor(model, settings['percentiles'])

    def _grid(self, raster: RasterFile) -> list[Tile]:
        sizes = self.settings['window'], self.settings['overlap']
        return list(tiles(*raster.shape, *sizes, self.predict.extra))

    def check(self, raster: RasterFile) -> None:
        """Raise ValueError if its windows cannot be predicted."""
        rows, columns = self._grid(raster)[0][:2]
        shape = rows.stop - rows.start, columns.stop - columns.start
        self.predict.check(raster.dtype, shape)

    def export(self, raster: RasterFile, name: str, stop: StopRequest) -> dict:
        """All of one raster; what was done."""
        settings = {**raster.settings(), **self.settings}
        # In the GeoTIFF, which others see, without their names.
        told = {**settings, 'files': digest(settings['files'], 16)}
        told['maps'] = [geotiff.CLASS, *self.predict.bands]
        outputs = [self.out_dir / f'{name}_{kind}.tif' for kind in OUTPUTS]
        grid = self._grid(raster)
        row = dict(
            raster=str(raster.path),
            files=list(map(str, outputs)),
            windows=len(grid),
        )
        part = self.out_dir / f'{name}.part'
        finished = all(path.exists() for path in outputs)
        if self.resume and (finished or part.exists()):
            _warn_of_files_elsewhere(raster)
        if self.resume and finished and not part.exists():
            found = geotiff.settings_of(outputs[1])
            require_same(found, told, outputs[1], FREE)
            return {**row, EMPTY: found.get(EMPTY)}
        if not raster.placed:
            MMLogger.get_current_instance().warning(
                f'{raster.path} has no coordinate reference system; its maps '
                'get none either.'
            )
        done = FinishedWindows(part, settings, 1 + len(self.predict.bands))
        done.begin(self.resume)
        try:
            empty = self._predict_all(raster, done, grid, stop)
            ready = list(filter(done.has, grid))
            if len(ready) + empty != len(grid):
                raise OSError(
                    f'Windows have gone from {part} or were cut off; run the '
                    'same command with --resume.'
                )
            about = part, raster.path, {**told, EMPTY: empty}, stop
            mosaics = [geotiff.Mosaic(*about) for _ in outputs]
            self._put_together(mosaics, ready, outputs)
            done.remove()
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise OSError(
                f'The disk of {self.out_dir} is full. Windows that are done '
                'are kept: free some room, then run the same command with '
                '--resume.'
            ) from error
        return {**row, EMPTY: empty}

    def _predict_all(
        self,
        raster: RasterFile,
        done: FinishedWindows,
        grid: Sequence[Tile],
        stop: StopRequest,
    ) -> int:
        """All windows that are not done; how many are empty."""
        todo = [tile for tile in grid if not done.has(tile)]
        empty = 0
        for tile in track(todo, raster.path.name):
            pixels, there = raster.read(*tile[:2])
            if there[tile.inside].any():
                where = tile.name, done.folder
                done.write(tile, self.predict(pixels, there, *where))
            else:
                empty += 1
            if stop.made:
                ready = sum(map(done.has, grid))
                raise Interrupted(
                    f'Stopped after {ready:,} of {len(grid):,} windows of '
                    f'{raster.path}; the same command with --resume goes on.'
                )
        if empty == len(grid):
            MMLogger.get_current_instance().warning(
                f'All pixels of {raster.path} are missing, in its maps too.'
            )
        return empty

    def _put_together(
        self,
        mosaics: Sequence[geotiff.Mosaic],
        ready: Sequence[Tile],
        outputs: Sequence[Path],
    ) -> None:
        logger = MMLogger.get_current_instance()
        logger.info(f'Putting {len(ready):,} windows together.')
        meta, bands = self.model.dataset_meta, self.predict.bands
        made = [
            geotiff.write_classes(mosaics[0], ready, meta, OUTPUTS[0]),
            geotiff.write_maps(mosaics[1], ready, bands, OUTPUTS[1]),
        ]
        for source, target in zip(made, outputs):
            names, old = (
                path.with_name(path.name + STATISTICS)
                for path in (source, target)
            )
            old.unlink(missing_ok=True)  # what a viewer found in former maps
            if names.exists():  # of the classes
                names.replace(old)
            source.replace(target)
