"""Metrics in plain torch, one in each file.

A metric derives from :class:`Metric` and registers itself in ``METRIC``.
``tools/test.py`` and ``tools/compare_uncertainty.py`` count it from then on.
"""

import sys

from mmseg_ddu.core.name_registry import NameRegistry, import_all

METRIC = NameRegistry('a metric')

import_all(sys.modules[__name__])
