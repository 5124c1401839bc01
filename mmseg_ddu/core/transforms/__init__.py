"""What becomes of a feature before its density sees it.

Each transform is a module in a file of its own here, with

- ``__init__(channels, num_classes)`` and ``num_features``, the dimensions
  that come out;
- ``forward(features)``, (N, D) float32 -> (N, D'), in tensor operations
  alone, so that it traces;
- if need be, ``fit(weight)``, called with the classifier's weight (C, D)
  before the density is fitted; what it learns stays in buffers.
"""

from mmseg_ddu.core.name_registry import NameRegistry, import_all

TRANSFORMS = NameRegistry('a transform')

import_all(__name__)
