"""The mathematics, in plain torch; imports nothing of mm*."""

from .calibration import (
    CalibrationCounts,
    Reliability,
    adaptive_ece,
)
from .components import ComponentCounts, component_overlaps
from .covariance import CovarianceEstimate, estimate_covariances, oas_shrinkage
from .discriminant import GaussianDiscriminant
from .dropout import active_dropout, dropout_behind, dropout_modules
from .errors import NotFittedError
from .grouped import GroupedCounts
from .grouping import ClassGroups
from .moments import ClassMoments
from .patches import (
    PatchCounts,
    PatchCurves,
    trio_at_keys,
    trio_at_percentiles,
)
from .posterior import PosteriorMean
from .quantiles import percentile, quantile_table
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
from .taps import FeatureTap
from .temperature import fit_temperature

__all__ = [
    'CalibrationCounts',
    'ClassGroups',
    'ClassMoments',
    'ComponentCounts',
    'CovarianceEstimate',
    'FeatureTap',
    'GaussianDiscriminant',
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
    'percentile',
    'quantile_table',
    'random_keys',
    'resize_subgrid',
    'risk_coverage',
    'sample_per_class',
    'softmax_entropy',
    'trio_at_keys',
    'trio_at_percentiles',
]
