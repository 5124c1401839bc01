"""A density head for segmentors that users derived from mmseg's."""

from __future__ import annotations

from functools import cache

from mmseg.models import EncoderDecoder
from torch import nn

from mmseg_ddu.registry import MODELS, registered_class

from .ddu_segmentor import DDUMixin

# On their way through these the maps are channels behind the logits.
ON_THE_WAY = (
    *('predict', 'inference', 'whole_inference', 'slide_inference'),
    *('postprocess_result', 'test_step'),
)


@MODELS.register_module(name='DDUSubclass')
def ddu_subclass(segmentor: str | type, **options) -> nn.Module:
    """A segmentor of a derived class, with a density head.

    Args:
        segmentor (str or type): The class, of which
            :func:`why_not_derived` says nothing.
        options: Its arguments, and those of :class:`DDUMixin`.
    """
    return _with_density(registered_class(segmentor))(**options)


@cache
def _with_density(kind: type) -> type:
    return type(f'DDU{kind.__name__}', (DDUMixin, kind), {})


def why_not_derived(kind: type | None) -> str | None:
    """Why a class gets no density head by itself; None if it does."""
    if kind is None:
        return 'No module in custom_imports registers it.'
    if not (isinstance(kind, type) and issubclass(kind, EncoderDecoder)):
        return 'It is not derived from EncoderDecoder.'
    own = [
        name
        for name in ON_THE_WAY
        if getattr(kind, name) is not getattr(EncoderDecoder, name)
    ]
    if own:
        return (
            f'It has its own {", ".join(own)}, and the maps have to come '
            'through that as further channels of the logits.'
        )
    return None
