"""Averaging the predictions of several networks, or passes of one."""

from __future__ import annotations

import torch
from torch import Tensor

from .scores import entropy, log_probabilities

TINY = torch.finfo(torch.float32).tiny


class PosteriorMean:
    """Running sums over the predictions of T members.

    Memory does not depend on T. With p_t the probabilities of member t:
    predictive entropy H(mean p_t) = expected entropy mean H(p_t) + mutual
    information (Gal, Islam and Ghahramani, 2017; Mukhoti and Gal, arXiv
    1811.12709). All in nats.

    Example:
        >>> mean = PosteriorMean()
        >>> mean.update(torch.tensor([[9., -9.]]))
        >>> mean.update(torch.tensor([[-9., 9.]]))
        >>> round(mean.mutual_information().item(), 3)  # log 2
        0.693
    """

    def __init__(self) -> None:
        self.count = 0
        self._probs: Tensor | float = 0.0
        self._entropies: Tensor | float = 0.0
        self._only: Tensor | None = None

    def update(self, logits: Tensor) -> None:
        """Add a member's (B, C, ...); C = 1 is a binary classifier."""
        log_probs = log_probabilities(logits)
        self.count += 1
        self._only = log_probs if self.count == 1 else None
        self._probs = self._probs + log_probs.exp()
        self._entropies = self._entropies + entropy(log_probs)

    def log_mean(self) -> Tensor:
        """Logarithm of the mean probabilities, (B, max(C, 2), ...)."""
        if self._only is not None:  # exactly, not up to rounding
            return self._only
        return self._mean(self._probs).clamp_min(TINY).log()

    def expected_entropy(self) -> Tensor:
        """Mean of the entropies, (B, 1, ...)."""
        return self._mean(self._entropies)

    def mutual_information(self) -> Tensor:
        """Predictive minus expected entropy, (B, 1, ...), at least 0."""
        expected = self.expected_entropy()
        if self._only is not None:
            return torch.zeros_like(expected)
        gap = entropy(self.log_mean()) - expected
        return gap.clamp_min(0)

    def _mean(self, total: Tensor | float) -> Tensor:
        if not isinstance(total, Tensor):
            raise ValueError('Expected at least one prediction; call update.')
        return total / self.count
