"""Which of mmseg's decode heads have a feature per pixel, and where."""

from __future__ import annotations

from mmseg.models.decode_heads import IterativeDecodeHead, PointHead
from torch import nn

from .gaussian_classifier import GaussianClassifier

USE_INSTEAD = (
    'Use a decode head that ends in cls_seg: DepthwiseSeparableASPPHead, '
    'FCNHead, UPerHead, SegformerHead and most others do.'
)
MASKS = (
    'it classifies masks, and the scores of a pixel are sums over the masks '
    'that cover it'
)
# Of mmseg 1.x; any other head without conv_seg is refused all the same.
REFUSED_HEADS = {
    'Mask2FormerHead': f'{MASKS}. {USE_INSTEAD}',
    'MaskFormerHead': f'{MASKS}. {USE_INSTEAD}',
    'SideAdapterCLIPHead': f'{MASKS}, where the class of a mask is that of '
    f'the closest text embedding. {USE_INSTEAD}',
    'SegmenterMaskTransformerHead': 'it compares patches with class vectors '
    'that it computes anew from each image, so patches of two images are not '
    'classified alike. Use the FCNHead on the same backbone (mmseg has such a '
    'config, segmenter_vit-s_fcn), or UPerHead.',
    'VPDDepthHead': 'it predicts depth, and the Gaussians belong to classes. '
    'Use a segmentation model.',
}
UNKNOWN = (
    f'mask-classification and point heads are of this kind. {USE_INSTEAD}'
)


class UnsupportedModelError(TypeError):
    """A model has no DDU form; the text says why and what to use instead."""


def decode_heads(segmentor: nn.Module) -> list[nn.Module]:
    """The decode heads in the order they run; more than one in a cascade."""
    head = segmentor.decode_head
    return list(head) if isinstance(head, nn.ModuleList) else [head]


def last_decode_head(segmentor: nn.Module) -> nn.Module:
    """The decode head whose logits are the prediction."""
    return decode_heads(segmentor)[-1]


def count_classes(segmentor: nn.Module) -> int:
    """Classes that a pixel may have: two behind a sigmoid.

    mmseg's ``num_classes=1`` has one logit, whose other class is the ground.
    """
    return max(2, segmentor.num_classes)


def classifying_head(segmentor: nn.Module) -> nn.Module:
    """The head whose ``conv_seg`` classifies every pixel.

    That is the (last) decode head, with two exceptions: PointRend's
    ``PointHead`` only corrects a few points of what the head before it
    predicts, and K-Net's ``IterativeDecodeHead`` refines the classifier of
    the head inside it, always applied to that head's feature.

    Raises:
        UnsupportedModelError: If there is none; it names the head, the
            reason and what to use instead.
    """
    heads = decode_heads(segmentor)
    head = heads[-1]
    if isinstance(head, PointHead) and len(heads) > 1:
        head = heads[-2]
    if isinstance(head, IterativeDecodeHead):
        head = head.kernel_generate_head
    classifier = getattr(head, 'conv_seg', None)
    kinds = nn.Conv2d, GaussianClassifier
    if not isinstance(classifier, kinds) or not hasattr(head, 'cls_seg'):
        raise UnsupportedModelError(refusal(type(head).__name__))
    return head


def refusal(head: str) -> str:
    """Why a head cannot have a density, and what to use instead."""
    return (
        f'{head} has no per-pixel classifier conv_seg that cls_seg calls, so '
        'there is no penultimate feature to fit a density on: '
        + REFUSED_HEADS.get(head, UNKNOWN)
    )
