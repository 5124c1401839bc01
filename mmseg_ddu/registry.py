"""Child registries of mmengine's, scope ``mmseg_ddu``.

Write ``type='mmseg_ddu.GDAHead'`` in a config; mmengine imports this module
and then the ``locations`` when it first meets the prefix.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmengine import registry as root
from mmengine.registry import Registry

OWN_SCOPE = 'mmseg_ddu.'


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


def type_name(config: object) -> str:
    """Name of the ``type`` of a config: a string, or a class as such.

    Without mmseg's prefix, and with ours, which classes of ours get too.
    Empty for what is no config.
    """
    kind = config.get('type', '') if isinstance(config, Mapping) else ''
    if not isinstance(kind, type):
        return str(kind).removeprefix('mmseg.')
    ours = kind.__module__.startswith(OWN_SCOPE)
    return OWN_SCOPE * ours + kind.__name__


def bare_type(config: object) -> str:
    """The same without any prefix."""
    return type_name(config).split('.')[-1]


def registered_class(name: str | type) -> type | None:
    """The class of a model that a config may name; None if there is none."""
    if isinstance(name, type):
        return name
    with MODELS.switch_scope_and_registry(None) as registry:
        try:
            return registry.get(name)
        except RuntimeError:  # what mmengine takes for the path of a module
            return None
