"""What the classifier reads of a feature, and the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import TRANSFORMS


@TRANSFORMS.register('row_space')
class RowSpace(nn.Module):
    """The part of the feature that differences of logits depend on."""

    basis: Tensor

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        # A softmax reads differences of logits, a sigmoid a single one.
        self.read = max(1, min(num_classes - 1, channels))
        self.num_features = self._dimensions(channels)
        self.register_buffer('basis', torch.zeros(channels, self.num_features))

    def _dimensions(self, channels: int) -> int:
        return self.read

    def fit(self, weight: Tensor) -> None:
        """Take the subspace from the weight of the classifier, (C, D)."""
        weight = weight.detach().double().cpu()
        if len(weight) > 1:
            weight = weight - weight.mean(0)
        right = torch.linalg.svd(weight, full_matrices=True).Vh.mT  # (D, D)
        self.basis.copy_(self._part(right))

    def _part(self, directions: Tensor) -> Tensor:
        return directions[:, : self.read]

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, D')."""
        return features @ self.basis


@TRANSFORMS.register('null_space')
class NullSpace(RowSpace):
    """The part of the feature that no difference of logits depends on.

    Novelty may show there although the softmax is sure (the idea of ViM,
    Wang et al., CVPR 2022, arXiv 2203.10807).

    Raises:
        ValueError: If the classifier reads all of the feature.
    """

    def _dimensions(self, channels: int) -> int:
        if channels <= self.read:
            raise ValueError(
                f'The classifier reads all {channels} channels, so nothing '
                "is left for the transform 'null_space'."
            )
        return channels - self.read

    def _part(self, directions: Tensor) -> Tensor:
        return directions[:, self.read :]
