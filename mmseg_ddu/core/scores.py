"""Uncertainty scores of a categorical prediction.

Every score rises with uncertainty. Logits have the classes on dimension 1,
``(B, C, ...)``; results are ``(B, 1, ...)``. A single channel (C = 1) is a
binary classifier behind a sigmoid, as mmseg's ``out_channels=1``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """Log softmax over dimension 1, float32 at least.

    A single channel becomes two: (B, 1, ...) -> (B, 2, ...), background
    first.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    return F.log_softmax(logits, dim=1)


def entropy(log_probs: Tensor) -> Tensor:
    """``-Σ p log p`` over dimension 1, in nats; 0 log 0 is 0."""
    probs = log_probs.exp()
    terms = torch.where(probs == 0, 0, probs * log_probs)
    return -terms.sum(1, keepdim=True)


def softmax_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax in nats: the aleatoric score of DDU.

    The highest there is, ``log C``, where a logit is not a number.

    Example:
        >>> round(softmax_entropy(torch.zeros(1, 4, 1, 1)).item(), 4)
        1.3863
    """
    log_probs = log_probabilities(logits)
    highest = math.log(log_probs.shape[1])
    if log_probs.requires_grad:  # nothing in place
        return entropy(log_probs).nan_to_num(nan=highest)
    log_probs.nan_to_num_(nan=-highest)  # -inf as well: 0 log 0 is 0
    return log_probs.exp().mul_(log_probs).sum(1, keepdim=True).neg_()


def max_probability(logits: Tensor) -> Tensor:
    """One minus the largest probability (Hendrycks and Gimpel, 2017)."""
    return 1 - log_probabilities(logits).amax(1, keepdim=True).exp()


def max_logit(logits: Tensor) -> Tensor:
    """Minus the largest logit (Hendrycks et al., 2022, arXiv 1911.11132)."""
    return -logits.amax(1, keepdim=True)


def energy(logits: Tensor) -> Tensor:
    """``-logsumexp`` of the logits (Liu et al., 2020, arXiv 2010.03759)."""
    return -torch.logsumexp(logits, 1, keepdim=True)
