"""Densities of feature vectors, one in each file.

A density is a module with

- ``__init__(num_classes, num_features, **options)``;
- ``new_moments(device)``: an empty :class:`ClassMoments`, or anything with
  its ``update``, ``merge``, ``state_dict`` and ``load_state_dict``;
- ``groups(features, labels)``: the label under which each vector is counted
  in them;
- ``fit_moments(moments, class_count)``: set the buffers; returns what was
  done, in plain numbers;
- ``score_samples(features)``: (N, D) -> (N,) log density in nats, in float32
  and tensor operations alone, without a look at the data, so that it traces
  and never waits for a device. A vector that is not finite gives NaN.

All that it learns is in buffers of fixed shape.
"""

from mmseg_ddu.core.name_registry import NameRegistry, import_all

DENSITIES = NameRegistry('a density')

import_all(__name__)
