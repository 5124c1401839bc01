"""Pictures of uncertainty during validation and test."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.engine.hooks import SegVisualizationHook
from mmseg.structures import SegDataSample

from mmseg_ddu.registry import HOOKS

from .prediction import map_scales
from .visualizer import DDULocalVisualizer


@HOOKS.register_module()
class DDUVisualizationHook(SegVisualizationHook):
    """mmseg's hook with one scale of colours for all images.

    Takes the place of ``SegVisualizationHook`` under
    ``default_hooks.visualization``, together with ``DDULocalVisualizer``.
    During validation the first image of every ``interval``-th batch is
    drawn; while no density is fitted yet, with the aleatoric map alone.

    Args:
        draw (bool): Whether to draw at all.
        interval (int): Draw every so-manieth batch of the validation and,
            unlike in mmseg, every so-manieth image of the test, from the
            first on.
        kwargs: As in mmseg's ``SegVisualizationHook``.

    Raises:
        TypeError: If the visualizer of the config is another one.
    """

    def __init__(
        self, draw: bool = True, interval: int = 50, **kwargs
    ) -> None:
        super().__init__(draw=draw, interval=interval, **kwargs)
        self._seen = 0

    def before_val(self, runner) -> None:
        """Read the scales off the densities, which may be new."""
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

    def before_test(self, runner) -> None:
        """The same, and count images from 0."""
        self.before_val(runner)
        self._seen = 0

    def after_test_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[SegDataSample],
    ) -> None:
        """Draw those images of a batch whose turn it is."""
        turns = range(self._seen, self._seen + len(outputs))
        self._seen += len(outputs)
        chosen = [
            sample
            for number, sample in zip(turns, outputs)
            if number % self.interval == 0
        ]
        interval, self.interval = self.interval, 1  # mmseg 1.2 counts batches
        try:
            super().after_test_iter(runner, batch_idx, data_batch, chosen)
        finally:
            self.interval = interval
