"""The mathematics, in plain torch; imports nothing of mm*."""

from .covariance import CovarianceEstimate, estimate_covariances, oas_shrinkage
from .discriminant import GaussianDiscriminant
from .dropout import active_dropout, dropout_modules
from .errors import NotFittedError
from .grouping import ClassGroups
from .moments import ClassMoments
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
from .taps import FeatureTap

__all__ = [
    'ClassGroups',
    'ClassMoments',
    'CovarianceEstimate',
    'FeatureTap',
    'GaussianDiscriminant',
    'NotFittedError',
    'PixelReservoir',
    'PrefixReplay',
    'RankingCounts',
    'active_dropout',
    'dropout_modules',
    'energy',
    'entropy',
    'estimate_covariances',
    'log_probabilities',
    'max_logit',
    'max_probability',
    'oas_shrinkage',
    'percentile',
    'quantile_table',
    'random_keys',
    'sample_per_class',
    'softmax_entropy',
]
