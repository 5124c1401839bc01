"""How much doubt about a class all its pixels have in common."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_PIXELS = 20


def shared_doubt(
    entropies: Tensor, predicted: Tensor, num_classes: int
) -> Tensor:
    """Doubt that all pixels of a predicted class share, in nats.

    Where two classes look the same, every pixel of them has a high entropy,
    and it hardly varies: that is aleatoric. With the mean m and the standard
    deviation s of the entropy of training pixels predicted as a class, it is
    ``m max(0, 1 - (2.5 s / m)^4)``: nearly m where s is small against m, and
    0 from ``s = m / 2.5`` on.

    Args:
        entropies (Tensor): (N,) of the softmax, in nats.
        predicted (Tensor): (N,) classes.
        num_classes (int): C.

    Returns:
        Tensor: (C,) float64; 0 for a class with fewer than 20 pixels.
    """
    doubt = entropies.new_zeros(num_classes, dtype=torch.float64)
    for label in predicted.unique().tolist():
        # A network that is sure has entropies of 1e-16.
        values = entropies[predicted == label].double()
        if len(values) >= MIN_PIXELS and values.mean() > 0:
            mean = values.mean()
            spread = 2.5 * values.std(unbiased=False) / mean
            doubt[label] = mean * (1 - spread**4).clamp_min(0)
    return doubt
