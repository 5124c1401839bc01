"""One number that makes probabilities honest."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from .metrics.calibration_error import check_labels

BOUNDS = 0.01, 100.0


def fit_temperature(
    logits: Tensor, labels: Tensor, ignore_index: int = 255
) -> float:
    """Temperature T for which softmax(logits / T) has the smallest NLL.

    The NLL is convex in 1/T (Guo et al., 2017, arXiv 1706.04599), so
    Newton's method in float64, kept inside a shrinking interval, finds the
    minimum. Where that lies outside ``BOUNDS``, the nearer bound is returned
    with a warning.

    Args:
        logits (Tensor): (N, C) of pixels the network was not trained on. A
            single logit (C = 1) is a binary classifier behind a sigmoid.
            Pixels with NaN or infinity are left out.
        labels (Tensor): (N,)
        ignore_index (int): Void label.

    Raises:
        ValueError: If no pixel has a label, or one is not a class.

    Example:
        >>> logits = torch.tensor([[4., 0.], [4., 0.], [4., 0.], [4., 0.]])
        >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 3)
        3.641
    """
    logits = _beside_the_label(logits, labels, ignore_index)
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    for beta, outside in ((low, 1), (high, -1)):
        if outside * _derivatives(logits, beta)[0] >= 0:
            warnings.warn(
                f'The best temperature lies outside {BOUNDS}: the pixels '
                'are all right, all wrong, or do not depend on the logits.',
                stacklevel=2,
            )
            return 1 / beta
    return 1 / _newton(logits, low, high)


def _beside_the_label(
    logits: Tensor, labels: Tensor, ignore_index: int
) -> Tensor:
    """Logits minus the label's, so that the NLL is mean(logsumexp(beta z))."""
    labels = labels.to(logits.device).flatten().long()
    known = (labels != ignore_index) & logits.isfinite().all(1)
    logits, labels = logits[known].double(), labels[known]
    if len(labels) == 0:
        raise ValueError(
            'Expected at least one labelled pixel with finite logits to fit '
            'a temperature; give pixels whose label is not void.'
        )
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    check_labels(labels, logits.shape[1])
    return logits - logits.gather(1, labels[:, None])


def _newton(logits: Tensor, low: float, high: float) -> float:
    """Where the slope changes its sign between ``low`` and ``high``."""
    beta = min(max(1.0, low), high)
    for _ in range(100):
        slope, curvature = _derivatives(logits, beta)
        if slope == 0:
            break
        low, high = (low, beta) if slope > 0 else (beta, high)
        step = beta - slope / curvature if curvature > 0 else math.nan
        # Outside the interval (or NaN): its geometric middle.
        new = step if low < step < high else math.sqrt(low * high)
        if abs(new - beta) <= 1e-12 * beta:
            break
        beta = new
    return beta


def _derivatives(logits: Tensor, beta: float) -> tuple[float, float]:
    """First and second derivative of the mean logsumexp(beta * logits)."""
    probs = (beta * logits).softmax(1)
    mean = (probs * logits).sum(1, keepdim=True)
    spread = (probs * (logits - mean).square()).sum(1)
    return float(mean.mean()), float(spread.mean())
