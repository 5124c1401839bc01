"""Lost scores stay what they are and leave the others alone."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ddu.core import GaussianDiscriminant, percentile, quantile_table
from mmseg_ddu.core.bounds import (
    WORST,
    bounded,
    is_lost,
    resize_scores,
    standardized,
)
from mmseg_ddu.core.dense import (
    dense_inverse_norms,
    dense_log_probs,
    dense_region_means,
)
from mmseg_ddu.core.regions import region_means
from mmseg_ddu.core.scores import entropy
from mmseg_ddu.core.transforms import inverse_norms
from tests.core.test_moments import data

ODD = [torch.nan, torch.inf, -torch.inf]


def test_bounded_and_standardized():
    log_probs = torch.tensor([3.0, -1e5, -1e35, *ODD[::2]])
    scores = -bounded(log_probs)
    assert is_lost(scores).tolist() == [False, False, True, True, True]
    z = standardized(scores, 5.0, 1e-12)
    assert z[:2].tolist() == pytest.approx([-8e12, 99995e12])
    assert is_lost(z).tolist() == is_lost(scores).tolist()
    assert z.isfinite().all()


@pytest.mark.parametrize('size', [(5, 9), (7, 12), (10, 18), (3, 4)])
def test_resizing_without_lost_scores_is_bilinear(size):
    scores = torch.randn(2, 1, 5, 9)
    expected = F.interpolate(scores, size, mode='bilinear')
    torch.testing.assert_close(resize_scores(scores, size), expected)


def test_resizing_interpolates_between_the_others():
    scores = torch.full((1, 1, 4, 4), 3.0)
    scores[0, 0, 1, 2] = WORST
    resized = resize_scores(scores, (16, 16))
    lost = is_lost(resized)[0, 0]
    assert lost[5:7, 9:11].all() and lost.sum() < 4 * 4 * 4
    torch.testing.assert_close(
        resized[0, 0][~lost], torch.full((int((~lost).sum()),), 3.0)
    )
    assert is_lost(
        resize_scores(torch.full((1, 1, 2, 2), WORST), (3, 5))
    ).all()


def test_region_means_leave_lost_values_out():
    values = torch.tensor([1.0, 3.0, WORST, 7.0, WORST])
    regions = torch.tensor([0, 0, 0, 1, 2])
    expected = [2.0, 2.0, 2.0, 7.0, 0.0]
    assert region_means(values, regions).tolist() == expected
    dense = dense_region_means(
        values.reshape(1, 1, 1, 5), regions.reshape(1, 1, 1, 5), 3
    )
    assert dense.flatten().tolist() == expected


def test_percentile_of_what_is_no_number_is_one():
    table = quantile_table(torch.randn(500)).float()
    scores = torch.tensor([torch.nan, torch.inf, WORST, -torch.inf])
    assert percentile(scores, table).tolist() == [1, 1, 1, 0]


def test_entropy_of_nan_is_not_certainty():
    log_probs = torch.full((1, 3, 1, 1), torch.nan)
    assert entropy(log_probs).isnan().all()


@pytest.mark.parametrize('norms', [inverse_norms, dense_inverse_norms])
def test_lengths_that_overflow_float32(norms):
    vectors = torch.randn(5, 40) * torch.tensor(
        [[1e-3], [1.0], [1e10], [1e20], [1e36]]
    )
    expected = vectors.double().norm(dim=1).reciprocal().float()
    torch.testing.assert_close(norms(vectors), expected, rtol=1e-5, atol=0)
    assert norms(torch.zeros(1, 40)) == pytest.approx(1e12)


@pytest.mark.parametrize('kind', ['full', 'tied', 'diag'])
@pytest.mark.parametrize('dim, rank', [(5, None), (5, 2), (300, None)])
def test_lost_vectors_leave_the_others_alone(kind, dim, rank):
    x, y = data(n=900, dim=dim)
    model = GaussianDiscriminant(3, dim, covariance_type=kind, rank=rank)
    model.fit(x, y)
    x = x[:60].float()
    odd = x.clone()
    for row, value in enumerate([*ODD, 1e25, -3e38]):
        odd[10 * row, row] = value
    lost = torch.zeros(60, dtype=torch.bool)
    lost[:50:10] = True
    for score in (
        model.score_samples,
        lambda z: model.log_prob_of(z, y[:60]),
        lambda z: model.log_prob(z).amax(1),
        lambda z: dense_log_probs(model, z, [0, 1, 2])[1],
    ):
        got = score(odd)
        torch.testing.assert_close(got[~lost], score(x)[~lost])
        torch.testing.assert_close(got[lost], torch.full((5,), -WORST))


def test_one_class_that_overflows_leaves_the_others_their_density():
    """A tight class and a wide one; the vector fits the wide one."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(2000) % 2
    x = torch.randn(2000, 200, generator=rng).double()
    x[y == 0] *= 1e-15
    x[y == 1] *= 1e9
    model = GaussianDiscriminant(2, 200, reg_covar=1e-30)
    model.fit(x, y)
    scores = model.score_samples(x[y == 1].float())
    own = model.log_prob_of(x[y == 1].float(), torch.ones(1000).long())
    torch.testing.assert_close(scores, own - torch.log(torch.tensor(2.0)))
