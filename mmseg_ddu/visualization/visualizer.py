"""mmseg's visualizer and its hook, which also draw uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from mmseg_ddu.registry import HOOKS, VISUALIZERS

from .prediction import (
    Scale,
    default_palette,
    map_scales,
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
        palette = (self.dataset_meta or {}).get('palette')
        look = self.scales, palette or default_palette(), self.alpha
        return panel(image, classes, maps, *look)

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
        **_,
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


@HOOKS.register_module()
class DDUVisualizationHook(SegVisualizationHook):
    """mmseg's hook with one scale of colours for all images.

    Takes the place of ``SegVisualizationHook`` under
    ``default_hooks.visualization``, together with ``DDULocalVisualizer``.
    During validation the first image of every ``interval``-th batch is
    drawn; while no density is fitted yet, with the aleatoric map alone. In a
    test, unlike in mmseg, it is every so-manieth image, from the first on.

    Args:
        draw (bool): Whether to draw at all.
        kwargs: As in mmseg's ``SegVisualizationHook``.

    Raises:
        TypeError: If the visualizer of the config is another one.
    """

    def __init__(self, draw: bool = True, **kwargs) -> None:
        super().__init__(draw=draw, **kwargs)

    def before_val(self, runner) -> None:
        """Read the scales off the densities, which may be new."""
        self._seen = 0
        if not self.draw:
            return
        visualizer = self._visualizer = runner.visualizer
        if not isinstance(visualizer, DDULocalVisualizer):
            raise TypeError(
                'DDUVisualizationHook needs visualizer=dict('
                "type='mmseg_ddu.DDULocalVisualizer', …) in the config, but "
                f'it is of type {type(visualizer).__name__}.'
            )
        visualizer.scales = map_scales(runner.model)

    before_test = before_val

    def after_test_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[SegDataSample],
    ) -> None:
        """Draw those images of a batch whose turn it is."""
        interval, self.interval = self.interval, 1  # mmseg 1.2 counts batches
        chosen = outputs[-self._seen % interval :: interval]
        self._seen += len(outputs)
        try:
            super().after_test_iter(runner, batch_idx, data_batch, chosen)
        finally:
            self.interval = interval
