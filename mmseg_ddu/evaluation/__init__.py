"""mmseg metrics."""

from .calibration_metric import CalibrationMetric
from .component_metric import ComponentMetric
from .counting import CountingMetric
from .pavpu_metric import PAvPUMetric
from .uncertainty_metric import UncertaintyMetric

__all__ = [
    'CalibrationMetric',
    'ComponentMetric',
    'CountingMetric',
    'PAvPUMetric',
    'UncertaintyMetric',
]
