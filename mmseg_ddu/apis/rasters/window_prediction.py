"""The prediction of one window, through the pipeline of the config."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from torch import nn

from mmseg_ddu.apis.inference import BareImagePipeline
from mmseg_ddu.apis.writers.own_formats import ABSTAIN
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.engine.fitting_data import (
    as_batch,
    bare_datasets,
    image_suffix,
)
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.models.abstention import refuses
from mmseg_ddu.models.map_names import PERCENTILE
from mmseg_ddu.models.tapped_modules import image_channels
from mmseg_ddu.registry import bare_type
from mmseg_ddu.visualization.prediction import (
    map_scales,
    sample_classes,
    sample_maps,
    sample_refused,
)

from .raster_file import write_window
from .window_grid import padded_size


def set_scale(cfg: Config, scale: float | None) -> None:
    """Let the test pipelines of a config enlarge all windows alike.

    Args:
        cfg (Config): Changed in place.
        scale (float, optional): Pixels that the network sees for one of the
            raster.

    Raises:
        ValueError: If the pipeline resizes to a size, and none is given.
    """
    loaders = (cfg.get(f'{split}_dataloader') for split in ('test', 'val'))
    for loader in filter(None, loaders):
        dataset = next(bare_datasets(loader['dataset']))
        steps = list(dataset.get('pipeline') or ())
        resizing = [s for s in steps if bare_type(s).startswith('Resize')]
        if scale is not None and steps:
            steps = [step for step in steps if step not in resizing]
            if scale != 1:
                steps.insert(1, dict(type='Resize', scale_factor=float(scale)))
            dataset['pipeline'] = steps
        elif not all(step.get('scale_factor') for step in resizing):
            raise ValueError(
                f'The test pipeline resizes images ({resizing[0]}), so a '
                'window would be seen at a scale that depends on its size. '
                'Say how many pixels the network is to see for one of the '
                'raster: --scale 1 leaves them as they are.'
            )


def network_channels(model: nn.Module) -> int:
    """Channels of an image; of an ensemble, of its first member."""
    return image_channels(getattr(model, 'members', [model])[0])


def thresholds_of(model: nn.Module) -> float | dict[str, float] | None:
    """Those of the abstention, by class where they differ."""
    if not refuses(model):
        return None
    first, *rest = thresholds = model.abstention.thresholds.tolist()
    if all(value == first for value in rest):
        return first
    return {f'of class {n}': value for n, value in enumerate(thresholds)}


class WindowPredictor:
    """Predicts windows as images of their own.

    A window goes through a file, because only the loading step of the config
    knows what becomes of bands and bits.

    Args:
        model (nn.Module): From :func:`mmseg_ddu.apis.init_ddu`.
        percentiles (bool): Also give those of the maps.

    Attributes:
        bands (dict[str, str]): Name of each band to its unit; the classes
            are in front of them.
        extra (int): See :func:`padded_size`.
    """

    def __init__(self, model: nn.Module, percentiles: bool) -> None:
        self.model = model
        self.load, *rest = model.pipelines[0].transforms
        self.loader = f'{type(self.load).__name__} of the test pipeline'
        self.rest = BareImagePipeline(rest)
        self.extra = int(bool(getattr(model, 'align_corners', False)))
        arrays = image_suffix(model.cfg) == '.npy'
        self.suffix = '.npy' if arrays else '.tif'
        self.bands = {
            name: scale.unit
            for name, scale in map_scales(model).items()
            if percentiles or not name.endswith(PERCENTILE)
        }
        if refuses(model):
            self.bands[ABSTAIN] = '1 where refused'

    def check(self, dtype: str, shape: Sequence[int]) -> None:
        """Try the test pipeline with an image (h, w), before any window.

        Raises:
            ValueError: If the loader does not give all bands, or the rest
                changes the size.
        """
        sizes = [padded_size(side, self.extra) for side in shape]
        with tempfile.TemporaryDirectory() as folder:
            results = self._check_loader(dtype, sizes, Path(folder))
        try:
            item = self.rest(results)
        except Exception as error:  # whatever a step raises
            why = ' '.join(reason(error).split())
            raise ValueError(
                f'The test pipeline cannot take a window of {tuple(sizes)} '
                f'pixels ({why}). Change the step that fails, or choose '
                'another scale (--scale) or window (--window).'
            ) from error
        self._check_size(item, sizes)

    def _check_loader(
        self, dtype: str, sizes: Sequence[int], folder: Path
    ) -> dict:
        channels = network_channels(self.model)
        kind = np.dtype(dtype)
        step = 256 if kind.kind in 'ui' and kind.itemsize > 1 else 1
        levels = step * np.arange(1, channels + 1).reshape(-1, 1, 1)
        image = np.tile(levels.astype(dtype), (1, *sizes))
        results = self._results(image, folder)
        if type(self.load) is not LoadImageFromFile:
            return results  # one of the user's own may do anything to values
        found = sorted(results['img'][0, 0].tolist())
        for divisor in (1, step):
            if found == sorted((image[:, 0, 0] // divisor).tolist()):
                return results
        raise ValueError(
            f'{self.loader} reads other values than those of the {channels} '
            f'bands of type {dtype} (of {image[:, 0, 0].tolist()} it makes '
            f"{found}). Give it color_type='unchanged', or another "
            'imdecode_backend.'
        )

    def _results(self, pixels: np.ndarray, folder: Path) -> dict:
        path = folder / f'window{self.suffix}'
        write_window(path, pixels)
        what = f'{len(pixels)} bands of type {pixels.dtype}'
        try:
            results = self.load(dict(img_path=str(path), img_id=0))
        except Exception as error:  # whatever a decoder raises
            raise ValueError(
                f'{self.loader} cannot read a window with {what}: '
                f'{reason(error)}'
            ) from error
        image = results['img']
        image = image.reshape(*image.shape[:2], -1)
        expected = (*pixels.shape[1:], network_channels(self.model))
        if image.shape != expected:
            raise ValueError(
                f'{self.loader} makes {image.shape} of a window with {what}, '
                f'but the network takes {expected} (height, width, '
                "channels). Give it color_type='unchanged', or another "
                'imdecode_backend.'
            )
        results['img'] = image
        return results

    @torch.no_grad()
    def __call__(
        self, pixels: np.ndarray, there: np.ndarray, name: str, folder: Path
    ) -> np.ndarray:
        """Classes and maps of a window.

        What is missing, and what is added to reach a size of the network's
        grid, is seen in the mean colour, as the padding of convolutions is.

        Args:
            pixels (np.ndarray): (bands, h, w).
            there (np.ndarray): (h, w), where there are any.
            name (str): Of the window: sampled maps depend on it alone.
            folder (Path): Where files may be written.

        Returns:
            np.ndarray: (1 + len(bands), h, w) float32; where there is no
            pixel the class is 255 and the maps are NaN.
        """
        height, width = there.shape
        sizes = [padded_size(side, self.extra) for side in there.shape]
        margins = [(0, new - old) for new, old in zip(sizes, there.shape)]
        padded = np.pad(pixels, [(0, 0), *margins], 'edge')
        results = self._results(padded, folder)
        results['img'][~np.pad(there, margins)] = self._mean_color(results)
        item = self.rest(results)
        self._check_size(item, sizes)
        torch.manual_seed(zlib.crc32(name.encode()))
        sample = self.model.test_step(as_batch(item))[0]
        maps = sample_maps(sample)
        if ABSTAIN in self.bands:
            maps[ABSTAIN] = sample_refused(sample)
        bands = [sample_classes(sample), *(maps[band] for band in self.bands)]
        result = np.stack(bands).astype(np.float32)[:, :height, :width]
        result[0, ~there], result[1:, ~there] = VOID, np.nan
        return result

    @staticmethod
    def _check_size(item: dict, sizes: Sequence[int]) -> None:
        meta = item['data_samples'].metainfo
        seen, factors = meta['img_shape'][:2], meta.get('scale_factor')
        expected = np.multiply(sizes, (factors or (1, 1))[::-1])
        if np.abs(expected - seen).max() > 1:
            raise ValueError(
                f'The test pipeline makes {seen} pixels of a window of '
                f'{tuple(sizes)}: a step of it crops, pads or resizes, which '
                'windows of a raster do not allow. Leave it out.'
            )

    def _mean_color(self, results: dict) -> np.ndarray:
        """Zero behind the normalisation, in the order of the loader."""
        image = results['img']
        preprocessor = getattr(self.model, 'data_preprocessor', None)
        mean = getattr(preprocessor, 'mean', None)
        if mean is None:
            return np.zeros(image.shape[2], image.dtype)
        color = mean.flatten().cpu().numpy()
        if len(color) == 3 and preprocessor._channel_conversion:
            color = color[::-1]
        if image.dtype.kind != 'f':
            color = color.round()
        return color.astype(image.dtype)
