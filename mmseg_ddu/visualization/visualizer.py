"""mmseg's visualizer, which also draws uncertainty."""

from __future__ import annotations

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.registry import VISUALIZERS

from .prediction import (
    Scale,
    default_palette,
    draw_map,
    panel,
    sample_classes,
    sample_maps,
)


@VISUALIZERS.register_module()
class DDULocalVisualizer(SegLocalVisualizer):
    """Image, truth, prediction, and the maps aleatoric, epistemic, total.

    They stand side by side in one picture, each map with its colour bar, and
    go to the backends of the config (local files, TensorBoard). Colours mean
    the same in all images where there are percentiles, or once
    :attr:`scales` is set, which :class:`DDUVisualizationHook` and
    ``DDUInferencer`` do; else each map spans its own range.

    Args:
        name (str): Of the instance.
        alpha (float): Weight of the class colours over the image.
        args, kwargs: As in mmseg's ``SegLocalVisualizer``.

    Example:
        >>> visualizer = dict(  # in a config
        ...     type='mmseg_ddu.DDULocalVisualizer',
        ...     vis_backends=[dict(type='LocalVisBackend')],
        ...     name='visualizer')
    """

    def __init__(
        self, name: str = 'visualizer', *args, alpha: float = 0.6, **kwargs
    ) -> None:
        super().__init__(name, *args, alpha=alpha, **kwargs)
        self.scales: dict[str, Scale] = {}

    def draw(
        self,
        image: np.ndarray,
        data_sample: SegDataSample,
        draw_gt: bool = True,
        draw_pred: bool = True,
    ) -> np.ndarray:
        """The picture of what a sample has, (H', W', 3) uint8 RGB."""
        classes, maps = {}, {}
        if draw_gt and 'gt_sem_seg' in data_sample:
            truth = data_sample.gt_sem_seg.data.squeeze()
            classes['truth'] = truth.cpu().numpy().astype(np.uint8)
        if draw_pred:
            maps = sample_maps(data_sample)
            if 'pred_sem_seg' in data_sample:
                classes['prediction'] = sample_classes(data_sample)
        heat_maps = {
            name: draw_map(name, maps, self.scales)
            for name in MAPS
            if name in maps
        }
        palette = (self.dataset_meta or {}).get('palette')
        return panel(
            image, classes, heat_maps, palette or default_palette(), self.alpha
        )

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        with_labels: bool | None = True,
        with_image: bool | None = True,
    ) -> None:
        """Draw a prediction into all backends, or into ``out_file``.

        The arguments are those of mmseg; class names are not drawn, and the
        image always is.
        """
        sample = SegDataSample() if data_sample is None else data_sample
        picture = self.draw(image, sample, draw_gt, draw_pred)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, picture, step)
        else:
            mmcv.imwrite(mmcv.rgb2bgr(picture), out_file)
