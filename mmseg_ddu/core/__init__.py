"""The mathematics, in plain torch; imports nothing of mm*."""

from .calibration import (
    CalibrationCounts,
    Reliability,
    adaptive_ece,
)
from .components import ComponentCounts, component_overlaps
from .covariance import CovarianceEstimate, estimate_covariances, oas_shrinkage
from .densities.gaussian import GaussianDensity
from .dropout import active_dropout, dropout_behind, dropout_modules
from .errors import NotFittedError
from .grouped import GroupedCounts
from .moments import ClassMoments
from .patches import (
    PatchCounts,
    PatchCurves,
    trio_at_keys,
    trio_at_percentiles,
)
from .posterior import PosteriorMean
from .ranking import RankingCounts
from .replay import PrefixReplay
from .sampling import PixelReservoir, random_keys, sample_per_class
from .scores import (
    energy,
    entropy,
    log_probabilities,
    max_logit,
    max_probability,
    softmax_entropy,
)
from .selective import aurc, e_aurc, oracle_aurc, risk_coverage
from .subgrid import resize_subgrid
from .surprise import Surprise, total_surprise
from .taps import FeatureTap
from .temperature import fit_temperature

__all__ = [
    'CalibrationCounts',
    'ClassMoments',
    'ComponentCounts',
    'CovarianceEstimate',
    'FeatureTap',
    'GaussianDensity',
    'GroupedCounts',
    'NotFittedError',
    'PatchCounts',
    'PatchCurves',
    'PixelReservoir',
    'PosteriorMean',
    'PrefixReplay',
    'RankingCounts',
    'Reliability',
    'active_dropout',
    'dropout_behind',
    'dropout_modules',
    'Surprise',
    'adaptive_ece',
    'aurc',
    'component_overlaps',
    'e_aurc',
    'energy',
    'entropy',
    'estimate_covariances',
    'log_probabilities',
    'fit_temperature',
    'max_logit',
    'max_probability',
    'oas_shrinkage',
    'oracle_aurc',
    'random_keys',
    'resize_subgrid',
    'risk_coverage',
    'sample_per_class',
    'softmax_entropy',
    'total_surprise',
    'trio_at_keys',
    'trio_at_percentiles',
]
