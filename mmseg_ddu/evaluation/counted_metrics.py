"""The metrics of ``mmseg_ddu.core.metrics`` as mmseg metrics."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.core.metrics.metric import VOID, Metric
from mmseg_ddu.registry import METRICS

from .counting import CountingMetric, percent
from .judged_samples import judge, score_maps


@METRICS.register_module()
class CountedMetric(CountingMetric):
    """A metric of ``mmseg_ddu.core.metrics`` over a whole data set.

    Figures that are shares are in percent; names begin with the name of the
    map if the metric judges maps. After ``evaluate``, ``merged`` holds the
    counts: map (``''`` if it judges predictions) to object.

    Args:
        metric (str): Name in ``METRIC``, such as ``ranking``.
        options: Those of the metric, and of :class:`CountingMetric`
            (``scores``, ``ignore_index``, ``prefix``, …).
    """

    metric = ''

    def __init__(
        self,
        metric: str = '',
        scores: Sequence[str] | None = None,
        ignore_index: int = VOID,
        prefix: str | None = None,
        **options,
    ) -> None:
        self.metric = metric or self.metric
        self.kind: type[Metric] = METRIC.find(self.metric)
        self.default_prefix = self.kind.prefix or self.metric
        super().__init__(scores, ignore_index, prefix)
        self.options = options
        self.new_counts()  # wrong options are an error now

    def new_counts(self) -> Metric:
        """Empty counts."""
        return self.kind(**self.options)

    def count(self, sample: dict) -> None:
        """Add one image, for every score."""
        image, maps = judge(sample, self.ignore_index), [('', None)]
        if self.kind.per_map:
            maps = score_maps(sample, self.scores)
        for name, score in maps:
            if name not in self.counts:
                self.counts[name] = self.new_counts()
            self.counts[name].count(image, score)

    def compute_metrics(self, results: dict) -> dict[str, dict]:
        """Map to its figures, from merged counts."""
        self.merged = results
        columns = {name: counts.figures() for name, counts in results.items()}
        for figures in columns.values():
            for key, value in figures.items():
                raw = key in self.kind.not_percent
                figures[key] = round(value, 4) if raw else percent(value)
        return columns


@METRICS.register_module()
class UncertaintyMetric(CountedMetric):
    """Ranking quality of uncertainty maps, see :class:`PixelRanking`.

    Args:
        ambiguous_classes (Sequence[str]): Classes that cannot be told
            apart, so that a good aleatoric score is high there.
        options: Those of :class:`CountingMetric`.
    """

    metric = 'ranking'

    def __init__(
        self, ambiguous_classes: Sequence[str] = (), **options
    ) -> None:
        self.ambiguous_classes = ambiguous_classes
        super().__init__(**options)

    def new_counts(self) -> Metric:
        ids = []
        if self.ambiguous_classes and self.dataset_meta:
            classes = list(self.dataset_meta['classes'])
            ids = [classes.index(name) for name in self.ambiguous_classes]
        return self.kind(**self.options, ambiguous=ids)


@METRICS.register_module()
class CalibrationMetric(CountedMetric):
    """ECE, adaptive ECE, NLL (nats) and Brier score (0 to 2).

    Args:
        options: ``n_bins``, and those of :class:`CountingMetric`.
    """

    metric = 'calibration'


@METRICS.register_module()
class PAvPUMetric(CountedMetric):
    """p(accurate | certain), p(uncertain | inaccurate) and PAvPU.

    Means over the thresholds at percentiles 1, 2, … 100 of the patches.

    Args:
        options: Those of :class:`PatchCounts` and :class:`CountingMetric`.
    """

    metric = 'patches'
