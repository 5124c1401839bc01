"""The feature as it is."""

from torch import Tensor, nn

from . import TRANSFORMS


@TRANSFORMS.register('raw')
class Raw(nn.Module):
    """As the DDU paper has it (arXiv 2111.00079)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.num_features = channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return features
