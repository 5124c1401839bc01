"""Features of unit length."""

import torch
from torch import Tensor, nn

from . import TRANSFORMS


@TRANSFORMS.register('direction')
class Direction(nn.Module):
    """L2 normalisation: Mahalanobis++ (Müller and Hein, arXiv 2505.18032).

    The length of a feature says how sure the network is; its direction says
    what it sees. The zero vector stays zero. Lengths beyond 1e19, whose
    squares overflow, stay lengths: such a vector is far from all others.

    Example:
        >>> Direction(2, 3)(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.num_features = channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        lengths = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return features / lengths.clamp(1e-12, 1e19)
