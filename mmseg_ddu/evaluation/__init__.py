"""mmseg metrics."""

from .component_metric import ComponentMetric
from .counted_metrics import (
    CalibrationMetric,
    CountedMetric,
    PAvPUMetric,
    UncertaintyMetric,
)

__all__ = [
    'CalibrationMetric',
    'ComponentMetric',
    'CountedMetric',
    'PAvPUMetric',
    'UncertaintyMetric',
]
