"""Where the tapped features of a segmentor are, and how wide."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmseg_ddu.core.taps import FeatureTap

from .heads import classifying_head
from .presets import INPUT, LOGITS, PENULTIMATE

_SIZE = 128  # of the image that is sent through the network


def known_channels(segmentor: nn.Module, tap: str) -> int | None:
    """Channels of a tap that the classifier itself tells."""
    classifier = classifying_head(segmentor).conv_seg
    known = {
        PENULTIMATE: classifier.in_channels,
        LOGITS: classifier.out_channels,
    }
    return known.get(tap)


def tap_place(segmentor: nn.Module, name: str) -> tuple:
    """Module, side and, for one of several outputs, its number.

    Raises:
        ValueError: If there is no such module; the text lists what there is.
    """
    if name in (PENULTIMATE, LOGITS):
        side = 'input' if name == PENULTIMATE else 'output'
        return (classifying_head(segmentor).conv_seg, side)
    if name == INPUT:
        return (segmentor.backbone, 'input')
    match = re.fullmatch(r'(.*)\[(-?\d+)\]', name)
    if match:
        module = tapped_module(segmentor, match[1])
        return (module, 'output', int(match[2]))
    return (tapped_module(segmentor, name), 'output')


def tapped_module(segmentor: nn.Module, name: str) -> nn.Module:
    """A submodule by its dotted name, or ValueError with the choices."""
    try:
        return segmentor.get_submodule(name)
    except AttributeError as error:
        parent = name.rpartition('.')[0]
        try:
            inside = segmentor.get_submodule(parent)
        except AttributeError:
            inside, parent = segmentor, 'the segmentor'
        names = [child for child, _ in inside.named_children()]
        raise ValueError(
            f'There is no module {name!r} to tap. Inside '
            f'{parent or "the segmentor"} there are: {names}.'
        ) from error


@torch.no_grad()
def probe(
    segmentor: nn.Module,
    taps: Sequence[str],
    encode_decode: Callable[[Tensor, list[dict]], Tensor],
) -> dict[str, int | str]:
    """Channels of tapped features, found by a small blank image.

    Args:
        segmentor (nn.Module): The network.
        taps (Sequence[str]): Names of features.
        encode_decode (Callable): Its prediction from image and meta.

    Returns:
        dict[str, int or str]: The channels, or why there are none.
    """
    found: dict[str, int | str] = {}
    places = {}
    for name in taps:
        try:
            places[name] = tap_place(segmentor, name)
        except ValueError as error:
            found[name] = str(error)
    if not places:
        return found
    training = segmentor.training
    device = next(segmentor.parameters()).device
    image = torch.zeros(1, 3, _SIZE, _SIZE, device=device)
    failure = ''
    segmentor.eval()
    with FeatureTap(places) as tap:
        try:
            if all(n == INPUT or n.startswith('backbone') for n in places):
                segmentor.backbone(image)
            else:
                shape = (_SIZE, _SIZE)
                meta = dict(img_shape=shape, ori_shape=shape)
                encode_decode(image, [meta])
        except Exception as error:  # whatever a network may raise
            failure = f' ({type(error).__name__}: {error})'
    segmentor.train(training)
    for name in places:
        found[name] = _channels(tap, name, failure)
    return found


def _channels(tap: FeatureTap, name: str, failure: str) -> int | str:
    try:
        feature = tap[name]
    except (KeyError, TypeError) as error:
        return f'{error.args[0]}{failure} Set channels in the view.'
    if feature.ndim != 4:
        return (
            f'The tap {name!r} gives a tensor of shape '
            f'{tuple(feature.shape)} instead of (B, D, h, w).'
        )
    return feature.shape[1]
