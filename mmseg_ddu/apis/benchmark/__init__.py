"""What a prediction costs: plain, with densities, sampled, in ensembles."""

from .run import benchmark

__all__ = ['benchmark']
