"""The mathematics, in plain torch; imports nothing of mm*."""

from .covariance import CovarianceEstimate, estimate_covariances, oas_shrinkage
from .densities.gaussian import GaussianDensity
from .dropout import active_dropout, dropout_behind, dropout_modules
from .errors import NotFittedError
from .metrics.calibration_error import CalibrationCounts
from .metrics.patches import trio_at_percentiles
from .metrics.ranking_counts import RankingCounts
from .metrics.selective_risk import aurc
from .moments import ClassMoments
from .posterior import PosteriorMean
from .repeated_passes import RepeatedPasses
from .sampling import PixelReservoir, random_keys, sample_per_class
from .scores import (
    energy,
    entropy,
    log_probabilities,
    max_logit,
    max_probability,
    softmax_entropy,
)
from .surprise import Surprise, total_surprise
from .taps import FeatureTap
from .temperature import fit_temperature

__all__ = [
    'CalibrationCounts',
    'ClassMoments',
    'CovarianceEstimate',
    'FeatureTap',
    'GaussianDensity',
    'NotFittedError',
    'PixelReservoir',
    'PosteriorMean',
    'RepeatedPasses',
    'RankingCounts',
    'Surprise',
    'total_surprise',
    'active_dropout',
    'dropout_behind',
    'dropout_modules',
    'aurc',
    'energy',
    'entropy',
    'estimate_covariances',
    'log_probabilities',
    'fit_temperature',
    'max_logit',
    'max_probability',
    'oas_shrinkage',
    'random_keys',
    'sample_per_class',
    'softmax_entropy',
    'trio_at_percentiles',
]
