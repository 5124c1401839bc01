"""Scores of a categorical prediction against torch.distributions."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.distributions import Bernoulli, Categorical

from mmseg_ddu.core import (
    energy,
    max_logit,
    max_probability,
    softmax_entropy,
)

LOGITS = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))


def test_entropy_is_torch_distributions():
    expected = Categorical(logits=LOGITS.movedim(1, -1)).entropy()
    np.testing.assert_allclose(
        softmax_entropy(LOGITS)[:, 0], expected, rtol=1e-5
    )


def test_binary_entropy():
    expected = Bernoulli(logits=LOGITS[:, :1]).entropy()
    np.testing.assert_allclose(
        softmax_entropy(LOGITS[:, :1]), expected, rtol=1e-5
    )


def test_certain_pixels_have_zero_entropy_not_nan():
    certain = torch.tensor([1e4, -1e4, 0.0]).reshape(1, 3, 1, 1)
    assert softmax_entropy(certain).item() == 0


def test_half_precision_is_scored_in_float32():
    assert softmax_entropy(LOGITS.half()).dtype == torch.float32


def test_max_scores():
    probs = LOGITS.double().softmax(1).numpy()
    np.testing.assert_allclose(
        max_probability(LOGITS)[:, 0], 1 - probs.max(1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(
        max_logit(LOGITS)[:, 0], -LOGITS.numpy().max(1)
    )
    np.testing.assert_allclose(
        energy(LOGITS)[:, 0], -logsumexp(LOGITS.numpy(), 1), rtol=1e-5
    )


def test_entropy_is_torchs():
    """Against torch.distributions, with impossible classes and ties."""
    rng = torch.Generator().manual_seed(0)
    logits = 30 * torch.randn(2, 5, 7, 6, generator=rng)
    logits[0, 1] = -torch.inf
    logits[1, :, 0] = 0
    expected = torch.distributions.Categorical(
        logits=logits.double().movedim(1, -1)
    ).entropy()
    got = softmax_entropy(logits)[:, 0].double()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_entropy_has_torchs_gradient():
    """What is done in place elsewhere is not done where it is wanted."""
    logits = (3 * LOGITS.double()).requires_grad_()
    softmax_entropy(logits).sum().backward()
    other = logits.detach().requires_grad_()
    kind = torch.distributions.Categorical(logits=other.movedim(1, -1))
    kind.entropy().sum().backward()
    torch.testing.assert_close(logits.grad, other.grad)


@pytest.mark.parametrize('gradients', [False, True])
def test_a_pixel_without_numbers_is_the_most_uncertain(gradients):
    logits = LOGITS.clone()
    logits[0, 1, 0, 0] = torch.nan
    logits[0, 2, 1, 0] = torch.inf
    logits[0, :, 2, 0] = -torch.inf
    got = softmax_entropy(logits.requires_grad_(gradients))[0, 0]
    assert got.requires_grad == gradients
    assert got[:, 0].tolist() == pytest.approx([math.log(4)] * 3)
    assert (got[:, 1:] < math.log(4)).all()
