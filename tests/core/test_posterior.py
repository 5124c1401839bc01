"""Means of predictions against float64 formulas."""

import pytest
import torch
from torch.distributions import Categorical

from mmseg_ddu.core import PosteriorMean


@pytest.mark.parametrize('channels', [1, 4])
def test_against_float64(channels):
    logits = 3 * torch.randn(5, 2, channels, 3, 4)
    mean = PosteriorMean()
    for member in logits:
        mean.update(member)
    wide = logits.double()
    if channels == 1:
        probs = torch.cat([1 - wide.sigmoid(), wide.sigmoid()], 2)
    else:
        probs = wide.softmax(2)
    probs = probs.movedim(2, -1)
    expected = Categorical(probs=probs).entropy().mean(0)[:, None]
    total = Categorical(probs=probs.mean(0)).entropy()[:, None]
    close = dict(rtol=1e-4, atol=1e-5, check_dtype=False)
    torch.testing.assert_close(
        mean.log_mean().exp().movedim(1, -1), probs.mean(0), **close
    )
    torch.testing.assert_close(mean.expected_entropy(), expected, **close)
    torch.testing.assert_close(
        mean.mutual_information(), total - expected, **close
    )
    assert mean.count == 5


def test_one_member_is_left_exactly_as_it_is():
    logits = torch.randn(1, 3, 2, 2)
    mean = PosteriorMean()
    mean.update(logits)
    assert torch.equal(mean.log_mean(), logits.log_softmax(1))
    assert (mean.mutual_information() == 0).all()


def test_certain_members_stay_finite():
    mean = PosteriorMean()
    mean.update(torch.tensor([[500.0, -500.0, -500.0]]))
    mean.update(torch.tensor([[-500.0, 500.0, -500.0]]))
    assert torch.isfinite(mean.log_mean()).all()
    expected = torch.tensor([[2.0]]).log()
    torch.testing.assert_close(mean.mutual_information(), expected)


def test_no_member():
    with pytest.raises(ValueError, match='call update'):
        PosteriorMean().mutual_information()
