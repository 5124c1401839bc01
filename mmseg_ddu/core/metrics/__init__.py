"""Metrics in plain torch, one in each file.

A metric derives from :class:`Metric` and registers itself in ``METRIC``.
``tools/test.py`` and ``tools/compare_uncertainty.py`` count it from then on.
"""

from mmseg_ddu.core.name_registry import NameRegistry, import_all

METRIC = NameRegistry('a metric')

import_all(__name__)
