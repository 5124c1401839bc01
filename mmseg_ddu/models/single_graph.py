"""A segmentor with all maps as one graph of tensor operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .ddu_segmentor import DDUMixin
from .map_names import MAPS, NOVELTY, PERCENTILE

OUTPUTS = (
    'class',
    *MAPS,
    *(name + PERCENTILE for name in MAPS),
    NOVELTY,
    NOVELTY + PERCENTILE,
)


class SingleGraph(nn.Module):
    """A fitted segmentor from raw image to class, maps and novelty.

    For ``torch.onnx.export``, ``torch.jit.trace`` and ``torch.compile``; the
    scores are those of the segmentor itself. The whole image is one window,
    at its own size, which may change from call to call.

    Args:
        segmentor (nn.Module): With fitted densities, in eval mode.

    Raises:
        TypeError: If it has no density head.
        ValueError: If its test mode is ``slide``.
        NotFittedError: Before the fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        if not isinstance(segmentor, DDUMixin):
            raise TypeError(
                'Expected a model with a density head, but got '
                f'{type(segmentor).__name__}; the sampling baselines and '
                'augmented models are not one graph.'
            )
        mode = segmentor.test_cfg.get('mode', 'whole')
        if mode != 'whole':
            raise ValueError(
                f'The test mode of this config is {mode!r}, and windows are '
                'not part of a graph. Set model.test_cfg.mode=whole (with '
                'cfg_options), and cut large images into windows outside.'
            )
        segmentor.gda_head.require_fitted()
        self.segmentor = segmentor
        # Open for good: a graph cannot hold that hooks come and go.
        self.tap = segmentor.tap().__enter__()
        self.channels = segmentor.image_novelty.channels
        preprocessor = segmentor.data_preprocessor
        self.register_buffer('mean', torch.zeros(self.channels, 1, 1))
        self.register_buffer('std', torch.ones(self.channels, 1, 1))
        if getattr(preprocessor, '_enable_normalize', False):
            self.mean.copy_(preprocessor.mean)
            self.std.copy_(preprocessor.std)
        self.flip = any(  # mmseg 1.2 and later forks name it differently
            getattr(preprocessor, name, False)
            for name in ('channel_conversion', '_channel_conversion')
        )
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Predict images of one size.

        Args:
            image (Tensor): (B, C, H, W) float32, as the loader gives it
                (BGR, 0 to 255).

        Returns:
            tuple[Tensor, ...]: What ``OUTPUTS`` names: the class (int64),
            the maps and their percentiles (float32), each (B, 1, H, W), and
            the novelty and its percentile, (B,).
        """
        inputs = image.flip(1) if self.flip else image
        inputs = (inputs - self.mean) / self.std
        segmentor = self.segmentor
        meta = dict(img_shape=inputs.shape[2:])
        everything = segmentor.encode_with(
            self.tap, inputs, [meta] * len(inputs)
        )
        fields = segmentor.fields(everything)
        novelty = segmentor.image_novelty(inputs)
        share = segmentor.image_novelty.percentile(novelty)
        maps = [fields[f'pred_{name}'] for name in OUTPUTS[1:-2]]
        return fields['pred_sem_seg'].long(), *maps, novelty, share
