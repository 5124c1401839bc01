"""Child registries of mmengine's, scope ``mmseg_ddu``.

Write ``type='mmseg_ddu.GDAHead'`` in a config; mmengine imports this module
and then the ``locations`` when it first meets the prefix.
"""

from mmengine import registry as root
from mmengine.registry import Registry


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(
        name,
        parent=parent,
        scope='mmseg_ddu',
        locations=[f'mmseg_ddu.{location}' for location in locations],
    )


MODELS = _child('model', root.MODELS, 'models')
HOOKS = _child('hook', root.HOOKS, 'engine', 'visualization')
METRICS = _child('metric', root.METRICS, 'evaluation')
DATASETS = _child('dataset', root.DATASETS, 'datasets')
TRANSFORMS = _child('transform', root.TRANSFORMS, 'datasets')
VISUALIZERS = _child('visualizer', root.VISUALIZERS, 'visualization')
