"""How much of the doubt about a class all its pixels have in common."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_PIXELS = 20


def shared_doubt(
    entropies: Tensor, predicted: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Mean entropy of each predicted class, and the share that is aleatoric.

    Where two classes look the same, every pixel of them has a high entropy,
    and it hardly varies. With the mean m and the standard deviation s of the
    entropy of training pixels predicted as a class, that share is ``max(0,
    1 - (2.5 s / m)^4)``: nearly 1 where s is small against m, and 0 from ``s
    = m / 2.5`` on.

    Args:
        entropies (Tensor): (N,) of the softmax, in nats.
        predicted (Tensor): (N,) classes.
        num_classes (int): C.

    Returns:
        tuple[Tensor, Tensor]: Means and shares, (C,) float64 each; 0 for a
        class with fewer than 20 pixels.
    """
    means = entropies.new_zeros(num_classes, dtype=torch.float64)
    shares = torch.zeros_like(means)
    for label in predicted.unique().tolist():
        # A network that is sure has entropies of 1e-16.
        values = entropies[predicted == label].double()
        if len(values) >= MIN_PIXELS and values.mean() > 0:
            means[label] = values.mean()
            spread = 2.5 * values.std(unbiased=False) / means[label]
            shares[label] = (1 - spread**4).clamp_min(0)
    return means, shares
