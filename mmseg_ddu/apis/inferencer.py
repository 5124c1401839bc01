"""mmseg's inferencer for models with uncertainty."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmseg.apis import MMSegInferencer
from mmseg.structures import SegDataSample
from rich.progress import track
from torch import nn

from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.fitting_data import image_suffix
from mmseg_ddu.models.abstention import REFUSED, refuses
from mmseg_ddu.visualization import DDULocalVisualizer
from mmseg_ddu.visualization import prediction as shown

from . import image_sources as sources
from .image_files import check_image
from .inference import (
    init_ddu,
    loaded_pixels,
    prepare_item,
    require_bare_images,
)
from .writers import MapWriter
from .writers.file_format import choose_formats, png, save
from .writers.own_formats import ABSTAIN


class DDUInferencer(MMSegInferencer):
    """Classes and uncertainty of images, folders, streams, videos.

    ``MMSegInferencer`` with a fitted checkpoint. Beyond it: inputs may be
    generators and videos and are read one batch at a time, images of a batch
    may differ in size, and an image that cannot be read is reported and left
    out instead of ending the run.

    Args:
        model (str or Config): The config the network was trained with.
        weights (str): A ``*_gda.pth`` file, or plain weights for a config of
            ``MCDropoutEncoderDecoder``.
        classes (Sequence[str], optional): Names, those of the checkpoint by
            default.
        palette (Sequence, optional): Colours, likewise.
        show_progress (bool): Show a progress bar.
        device, cfg_options, tta: As in :func:`mmseg_ddu.apis.init_ddu`.

    Raises:
        NotFittedError: If the checkpoint holds no fitted densities.
        ValueError: If there are no weights, or they are of another network.

    Example:
        >>> inferencer = DDUInferencer(*files)  # doctest: +SKIP
        >>> result = inferencer('photo.jpg')  # doctest: +SKIP
        >>> result['predictions']['pred_total'].shape  # doctest: +SKIP
        (375, 500)
    """

    def __init__(
        self,
        model: str | os.PathLike | Config,
        weights: str | os.PathLike | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence | None = None,
        device: str | None = None,
        show_progress: bool = True,
        cfg_options: dict | None = None,
        tta: bool = False,
    ) -> None:
        if weights is None:
            raise ValueError(
                'DDUInferencer needs the weights of a fitted model: a '
                '*_gda.pth file, as tools/fit_gda.py writes it.'
            )
        self._options = dict(cfg_options=cfg_options, tta=tta)
        # Without a config, mmengine would run the one in the checkpoint.
        super().__init__(
            read_config(model),
            str(weights),
            device=device,
            show_progress=show_progress,
        )
        require_bare_images(self.model)
        shown.require_8_bits(self.model)
        meta = self.model.dataset_meta
        self.classes = classes or meta.get('classes')
        self.palette = palette or meta.get('palette')
        self.scales = shown.map_scales(self.model)
        self.formats = choose_formats(pictures=False)
        if refuses(self.model):
            self.formats = sorted({*self.formats, ABSTAIN})
        self.visualizer.scales = self.scales
        names = dict(classes=self.classes, palette=self.palette)
        self.visualizer.dataset_meta = names

    def __call__(
        self,
        inputs,
        return_datasamples: bool = False,
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        out_dir: str | os.PathLike = '',
        img_out_dir: str = 'vis',
        pred_out_dir: str = 'pred',
        opacity: float = 0.6,
    ) -> dict | SegDataSample | list[SegDataSample]:
        """Predict, draw and write images.

        Args:
            inputs: A path of an image, a folder (searched for images) or a
                video; an array (H, W, 3) or (N, H, W, 3), uint8 BGR; or an
                iterable of any of these, as a list or a generator of frames.
            return_datasamples (bool): Return samples instead of arrays.
            batch_size (int): Images in one forward pass.
            return_vis (bool): Also return the pictures.
            show (bool): Show them in windows.
            wait_time (float): For how long each, in seconds.
            out_dir (str): Where to write pictures and maps; nowhere by
                default.
            img_out_dir (str): Folder of the pictures in it; none if empty.
            pred_out_dir (str): Folder of the maps in it, in the layout of
                :func:`mmseg_ddu.apis.export`; none if empty.
            opacity (float): Of the class colours in pictures.

        Returns:
            dict: ``predictions``, for each image a dict with ``name``,
            ``pred_sem_seg`` (H, W) uint8, the maps (H, W) float32 under the
            names of their fields, ``pred_abstain`` (H, W) bool if the
            checkpoint has thresholds, and of fitted models ``image_novelty``
            and its percentile; ``visualization``, its pictures (uint8 RGB);
            and ``skipped``, a dict with ``name`` and ``error`` for each image
            that could not be read. If ``inputs`` is one image, the first two
            are not lists. With ``return_datasamples``, the sample or the
            list of samples alone.

        Raises:
            FileNotFoundError: If there is no such file or folder.
            ValueError: If the only image cannot be read.
        """
        single = sources.is_single(inputs)
        stream = self.stream(inputs, batch_size)
        if self.show_progress:
            suffix = image_suffix(self.model.cfg)
            total = sources.count_sources(inputs, suffix)
            stream = track(stream, 'Inference', total)
        self.visualizer.alpha = opacity
        vis, pred = (
            Path(out_dir, folder) if out_dir and folder else None
            for folder in (img_out_dir, pred_out_dir)
        )
        look = self.scales, self.palette, self.formats
        writer = pred and MapWriter(pred, *look)
        done: list = []
        drawn: list[np.ndarray] = []
        skipped: list[dict] = []
        for source, sample in stream:
            if sample is None:
                if single:
                    raise ValueError(f'This cannot be read: {source.error}')
                skipped.append(dict(name=source.name, error=source.error))
                continue
            if return_vis or show or vis:
                image = loaded_pixels(self.model, source.image)
                picture = self.visualizer.draw(image, sample, draw_gt=False)
                if show:
                    self.visualizer.show(picture, source.name, wait_time)
                if vis:
                    save(vis / f'{source.name}.png', png(picture))
                if return_vis and not return_datasamples:
                    drawn.append(picture)
            row = self._arrays(source.name, sample, writer)
            done.append(sample if return_datasamples else row)
        if return_datasamples:
            return done[0] if single else done
        if not single:
            return dict(predictions=done, visualization=drawn, skipped=skipped)
        picture = drawn[0] if drawn else None
        return dict(predictions=done[0], visualization=picture, skipped=[])

    def stream(
        self, inputs, batch_size: int = 1
    ) -> Iterator[tuple[sources.Source, SegDataSample | None]]:
        """Predict one batch after another, keeping nothing.

        Args:
            inputs: As in :meth:`__call__`.
            batch_size (int): Images in one forward pass.

        Yields:
            tuple: The image (its ``name``, ``image`` and ``error``) and
            its sample, or None where it could not be read; in order.
        """
        if batch_size < 1:
            raise ValueError(
                f'Expected batch_size to be at least 1, but got {batch_size}.'
            )
        rest = sources.iter_sources(inputs, image_suffix(self.model.cfg))
        while chunk := list(islice(rest, batch_size)):
            items = [item for item in map(self._read, chunk) if item]
            samples = iter(
                self.forward(pseudo_collate(items)) if items else ()
            )
            for source in chunk:
                yield source, None if source.error else next(samples)

    def _read(self, source: sources.Source) -> dict | None:
        """The item of a batch; sets ``source.error`` if there is none."""
        if source.error is None:
            try:
                check_image(source.image)
                return prepare_item(self.model, source.image)
            except Exception as error:  # whatever a decoder may raise
                source.error = sources.reason(error)
        MMLogger.get_current_instance().warning(
            f'{source.name} cannot be read and is skipped: {source.error}'
        )
        return None

    def _arrays(self, name: str, sample, writer: MapWriter | None) -> dict:
        """A prediction as arrays, also written."""
        classes = shown.sample_classes(sample)
        maps = shown.sample_maps(sample)
        if writer:
            writer.write(name, None, classes, maps)
        fields = {f'pred_{key}': value for key, value in maps.items()}
        refused = shown.sample_refused(sample)
        if refused is not None:
            fields[REFUSED] = refused
        fields.update(pred_sem_seg=classes, **shown.sample_novelty(sample))
        return dict(name=name, **fields)

    def _init_model(self, cfg, weights, device: str = 'cpu') -> nn.Module:
        return init_ddu(cfg, weights, device, **self._options)

    def _init_pipeline(self, cfg) -> None:
        """The model has its pipelines."""

    def _init_visualizer(self, cfg) -> DDULocalVisualizer:
        return DDULocalVisualizer()
