"""Where the tapped features of a segmentor are, and how wide."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmseg_ddu.core.taps import FeatureTap

from .gaussian_classifier import GaussianClassifier
from .gda_head import PENULTIMATE
from .heads import classifying_head

LOGITS = 'logits'
SIZE = 128  # of the image that is sent through the network


def tap_place(segmentor: nn.Module, name: str) -> tuple:
    """Module, side and, for one of several outputs, its number.

    Raises:
        ValueError: If there is no such module; the text lists what there is.
    """
    if name in (PENULTIMATE, LOGITS):
        classifier = classifying_head(segmentor).conv_seg
        if name == LOGITS:
            return (classifier, 'output')
        if isinstance(classifier, GaussianClassifier):
            return (classifier.embedding, 'output')
        return (classifier, 'input')
    match = re.fullmatch(r'(.*)\[(-?\d+)\]', name)
    if match:
        module = named_module(segmentor, match[1])
        return (module, 'output', int(match[2]))
    return (named_module(segmentor, name), 'output')


def named_module(segmentor: nn.Module, name: str) -> nn.Module:
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


def image_channels(segmentor: nn.Module) -> int:
    """Channels of the images, as the first layer of the backbone has them."""
    for module in segmentor.backbone.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    mean = getattr(segmentor.data_preprocessor, 'mean', None)
    return 3 if mean is None else len(mean)


@torch.no_grad()
def find_channels(
    segmentor: nn.Module,
    tap: str,
    encode_decode: Callable[[Tensor, list[dict]], Tensor],
) -> int:
    """Channels of a tap; what is not known is found by a blank image.

    ``encode_decode`` is the prediction from an image and its meta.

    Raises:
        ValueError: If there are none, with the reason.
    """
    if tap == PENULTIMATE:
        return classifying_head(segmentor).conv_seg.weight.shape[1]
    place = tap_place(segmentor, tap)
    training = segmentor.training
    device = next(segmentor.parameters()).device
    shape = (1, image_channels(segmentor), SIZE, SIZE)
    image = torch.zeros(shape, device=device)
    meta = dict(img_shape=shape[2:], ori_shape=shape[2:])
    failure = ''
    segmentor.eval()
    with FeatureTap({tap: place}) as found:
        try:
            encode_decode(image, [meta])
        except Exception as error:  # whatever a network may raise
            failure = f' ({type(error).__name__}: {error})'
    segmentor.train(training)
    try:
        feature = found[tap]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{error.args[0]}{failure} Set channels in the density head.'
        ) from error
    if feature.ndim != 4:
        raise ValueError(
            f'The tap {tap!r} gives a tensor of shape '
            f'{tuple(feature.shape)} instead of (B, D, h, w).'
        )
    return feature.shape[1]
