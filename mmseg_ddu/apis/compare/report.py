"""Here until the page imports ``results_file`` instead."""

from .results_file import RESULTS, read_results, strict

__all__ = ['RESULTS', 'read_results', 'strict']
