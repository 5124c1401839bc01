"""Any decode head of mmseg, with Gaussians for its classifier."""

from __future__ import annotations

from functools import cache

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_ddu.registry import MODELS, registered_class

from .gaussian_classifier import GaussianClassifier


@MODELS.register_module(name='GaussianHead')
def gaussian_head(
    head: str | type, gaussian: dict | None = None, **options
) -> nn.Module:
    """A decode head whose ``conv_seg`` is a :class:`GaussianClassifier`.

    In a config that has a decode head already::

        decode_head=dict(
            type='mmseg_ddu.GaussianHead',
            head='DepthwiseSeparableASPPHead',  # its type until now
            gaussian=dict(components=5),
        )

    Args:
        head (str or type): A decode head of mmseg that ends in ``cls_seg``.
        gaussian (dict, optional): Options of the classifier: ``dim``,
            ``components``, ``covariance_type`` …
        options: Arguments of the head.

    Raises:
        KeyError: If there is no such head.
        TypeError: If it does not end in mmseg's ``cls_seg``.
        ValueError: If it has one logit for two classes.
    """
    kind = registered_class(head)
    if kind is None:
        raise KeyError(f'There is no decode head {head!r}.')
    # That of mmseg is for the linear classifier alone.
    options.setdefault('init_cfg', None)
    return _with_gaussians(kind)(gaussian=gaussian, **options)


class _GaussianMixin:
    """Swaps the classifier, and lets it see the labels of a step."""

    def __init__(self, *, gaussian: dict | None = None, **options) -> None:
        super().__init__(**options)
        if self.out_channels != self.num_classes or self.num_classes < 2:
            raise ValueError(
                'A GaussianHead has a density for each class: set '
                'num_classes=2 and leave out out_channels for two classes, '
                f'in place of num_classes={self.num_classes} and '
                f'out_channels={self.out_channels}.'
            )
        self.conv_seg = GaussianClassifier(
            self.conv_seg.in_channels, self.num_classes, **(gaussian or {})
        )

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: list[SegDataSample]
    ) -> dict[str, Tensor]:
        losses = super().loss_by_feat(seg_logits, batch_data_samples)
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        self.conv_seg.observe(labels, self.ignore_index)
        return losses


@cache
def _with_gaussians(kind: type) -> type:
    if (
        not issubclass(kind, BaseDecodeHead)
        or kind.cls_seg is not BaseDecodeHead.cls_seg
    ):
        raise TypeError(
            f'{kind.__name__} does not end in cls_seg of mmseg, so it has no '
            'classifier that Gaussians could take the place of.'
        )
    return type(f'Gaussian{kind.__name__}', (_GaussianMixin, kind), {})
