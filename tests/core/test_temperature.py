"""The temperature against scipy's minimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from mmseg_ddu.core import fit_temperature

from .metrics.test_calibration_error import counted, sample, softmax


@pytest.mark.parametrize('sharp', [0.3, 1.0, 3.0, 20.0])
def test_temperature_is_scipys(sharp):
    logits, labels = sample(sharp=sharp, void=0.2)
    got = fit_temperature(torch.tensor(logits), torch.tensor(labels))
    known = labels != 255

    def nll(log_t):
        probs = softmax(logits[known] / np.exp(log_t))
        return log_loss(labels[known], probs, labels=range(5))

    best = minimize_scalar(nll, bounds=(-4.5, 4.5), options=dict(xatol=1e-9))
    assert got == pytest.approx(np.exp(best.x), rel=1e-4)
    assert got == pytest.approx(sharp, rel=0.1)


def test_temperature_lowers_nll_and_ece():
    logits, labels = sample(sharp=4.0)
    temperature = fit_temperature(torch.tensor(logits), torch.tensor(labels))
    before = counted(logits, labels)
    after = counted(logits / temperature, labels)
    assert after.nll() < before.nll()
    assert after.ece() < 0.3 * before.ece()


def test_temperature_without_a_minimum():
    labels = torch.tensor([0, 1, 255])
    with pytest.raises(ValueError, match='at least one'):
        fit_temperature(torch.rand(1, 3), labels[2:])
    right = torch.tensor([[5.0, 0.0], [0.0, 5.0], [0.0, 0.0]])
    with pytest.warns(UserWarning, match='outside'):
        assert fit_temperature(right, labels) == pytest.approx(0.01, rel=0.1)
    with pytest.warns(UserWarning, match='outside'):
        assert fit_temperature(-right, labels) == pytest.approx(100, rel=0.1)
