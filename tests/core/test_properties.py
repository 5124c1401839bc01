"""What holds for every input, over all options of the density.

More examples: ``NUMBERS_EXAMPLES=2000 pytest tests/core/test_properties.py``.
"""

import os

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from mmseg_ddu.core import (
    ClassMoments,
    GaussianDiscriminant,
    estimate_covariances,
    percentile,
    quantile_table,
)
from mmseg_ddu.core.bounds import WORST

hypothesis = pytest.importorskip('hypothesis')
st = hypothesis.strategies

settings = hypothesis.settings(
    max_examples=int(os.environ.get('NUMBERS_EXAMPLES', 40)),
    deadline=None,
    derandomize='NUMBERS_EXAMPLES' not in os.environ,
    database=None,
)


@st.composite
def problems(draw, largest=12.0):
    """Vectors and labels: any scale, offset, rank and class sizes."""
    classes = draw(st.integers(1, 5))
    dim = draw(st.sampled_from([1, 2, 3, 7, 20, 150]))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    sizes = draw(
        st.lists(
            st.sampled_from([0, 1, 2, 3, 17, 200]),
            min_size=classes,
            max_size=classes,
        ).filter(any)
    )
    y = torch.arange(classes).repeat_interleave(torch.tensor(sizes))
    y = y[torch.randperm(len(y), generator=rng)]
    inner = draw(st.sampled_from(['full', 'low', 'constant']))
    noise = torch.randn(len(y), dim, generator=rng, dtype=torch.float64)
    if inner == 'low':  # the features fill two dimensions at most
        mixing = torch.randn(2, dim, generator=rng, dtype=torch.float64)
        noise = noise[:, :1].repeat(1, 2) @ mixing
    scale = 10.0 ** draw(st.floats(-12, largest))
    centers = torch.randn(classes, dim, generator=rng, dtype=torch.float64)
    x = centers[y] * draw(st.sampled_from([0.0, 1.0, 30.0]))
    if inner != 'constant':
        x = x + noise
    x = x * scale + scale * 10.0 ** draw(st.floats(-3, 3))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return x.to(dtype), y, classes


@st.composite
def options(draw, dim):
    return dict(
        covariance_type=draw(st.sampled_from(['full', 'tied', 'diag'])),
        rank=draw(st.none() | st.integers(1, dim - 1)) if dim > 1 else None,
        shrinkage=draw(st.sampled_from([0.0, 0.1, 1.0, 'oas'])),
        shrinkage_target=draw(st.sampled_from(['tied', 'identity'])),
        reg_covar=10.0 ** draw(st.integers(-9, -2)),
        priors=draw(st.sampled_from(['uniform', 'empirical'])),
    )


def fitted(x, y, classes, double=False, **chosen):
    model = GaussianDiscriminant(classes, x.shape[1], **chosen)
    model = model.double() if double else model
    report = model.fit(x, y)
    return model, report


@settings
@hypothesis.given(st.data())
def test_finite_inputs_have_finite_scores(data):
    x, y, classes = data.draw(problems())
    model, report = fitted(x, y, classes, **data.draw(options(x.shape[1])))
    assert report['nonfinite'] == 0
    for name, buffer in model.named_buffers():
        if name != 'log_priors':
            assert torch.isfinite(buffer).all(), name
    far = (
        torch.randn(8, x.shape[1]) * 10.0 ** torch.arange(-10, 38, 6)[:, None]
    )
    exact = x[:8] * torch.tensor([1.0, 1e3]).repeat(4)[: len(x[:8]), None]
    inputs = torch.cat([far.to(x.dtype), exact, x[:50]])
    scores = model.score_samples(inputs)
    present = (y.bincount(minlength=classes) > 0).nonzero()[:, 0]
    everything = [
        scores,
        model.log_prob(inputs)[:, present],
        model.log_prob_of(inputs, torch.arange(len(inputs)) % classes),
    ]
    for values in everything:
        assert torch.isfinite(values).all()
        assert (values >= -1.001 * WORST).all()
    odd = inputs.clone()
    odd[::2, -1] = torch.tensor([torch.nan, torch.inf]).repeat(50)[
        : len(odd[::2])
    ]
    again = model.score_samples(odd)
    torch.testing.assert_close(again[1::2], scores[1::2])
    assert (again[::2] <= -WORST).all()


@settings
@hypothesis.given(st.data())
def test_renaming_the_classes_renames_the_log_probs(data):
    x, y, classes = data.draw(problems())
    chosen = data.draw(options(x.shape[1]))
    rng = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    new = torch.randperm(classes, generator=rng)
    model, _ = fitted(x, y, classes, True, **chosen)
    other, _ = fitted(x, new[y], classes, True, **chosen)
    spread = max(1.0, float(model.log_prob(x).nan_to_num(0, 0, 0).abs().max()))
    close = dict(rtol=1e-6, atol=1e-6 * spread)
    torch.testing.assert_close(
        other.log_prob(x)[:, new], model.log_prob(x), **close
    )
    torch.testing.assert_close(
        other.score_samples(x), model.score_samples(x), **close
    )


def scatter_scale(moments):
    """Size of the scatter of each pair of features, for tolerances."""
    diagonal = moments.scatters
    if not moments.diagonal:
        diagonal = diagonal.diagonal(dim1=-2, dim2=-1)
    return float(diagonal.max()) + 1e-300


def assert_same(got, expected, tolerance):
    assert torch.equal(got.counts, expected.counts)
    assert torch.equal(got.nonfinite, expected.nonfinite)
    size = float(expected.means.abs().max()) + 1e-300
    assert (got.means - expected.means).abs().max() <= tolerance * size
    # Rounding of the mean enters with its square.
    size = (
        scatter_scale(expected)
        + float(expected.counts.max()) * (1e-15 * size) ** 2 / tolerance
    )
    assert (got.scatters - expected.scatters).abs().max() <= tolerance * size


@settings
@hypothesis.given(
    st.data(), st.sampled_from([{}, dict(diagonal=True), dict(pooled=True)])
)
def test_moments_depend_on_neither_chunks_nor_order(data, kind):
    x, y, classes = data.draw(problems())
    chunk = data.draw(st.integers(1, 64))
    bad = data.draw(st.booleans())
    if bad:
        x = x.clone()
        x[:: max(1, len(x) // 3), 0] = torch.nan
    whole = ClassMoments(classes, x.shape[1], **kind).update(x, y)
    rng = torch.Generator().manual_seed(chunk)
    order = torch.randperm(len(x), generator=rng)
    parts = [
        ClassMoments(classes, x.shape[1], **kind).update(a, b)
        for a, b in zip(x[order].split(chunk), y[order].split(chunk))
    ]
    # float32 products keep 7 digits, float64 ones 16.
    digits = 1e-12 if x.dtype == torch.float64 else 3e-6
    assert_same(ClassMoments.merged(parts), whole, digits)


@settings
@hypothesis.given(
    st.data(), st.sampled_from([{}, dict(diagonal=True), dict(pooled=True)])
)
def test_merge_commutes_and_associates(data, kind):
    x, y, classes = data.draw(problems())
    thirds = [x[i::3] for i in range(3)]
    a, b, c = (
        ClassMoments(classes, x.shape[1], **kind).update(part, y[i::3])
        for i, part in enumerate(thirds)
    )
    merged = ClassMoments.merged
    assert_same(merged([a, b]), merged([b, a]), 1e-12)
    assert_same(
        merged([merged([a, b]), c]), merged([a, merged([b, c])]), 1e-12
    )


@settings
@hypothesis.given(st.data())
def test_percentile_rises_with_the_score(data):
    rng = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    scale = 10.0 ** data.draw(st.floats(-20, 20))
    sample = torch.randn(data.draw(st.integers(1, 300)), generator=rng)
    if data.draw(st.booleans()):
        sample = sample.round()  # ties
    sample = sample * scale + data.draw(st.sampled_from([0.0, 1e4 * scale]))
    table = quantile_table(sample).float()
    around = torch.cat([table, torch.randn(500, generator=rng) * 3 * scale])
    ends = torch.tensor([-torch.inf, -WORST, WORST, torch.inf])
    scores = torch.cat([around, ends]).sort().values
    shares = percentile(scores, table)
    assert (shares.diff() >= 0).all()
    assert shares[0] == 0 and shares[-1] == 1
    assert shares[scores > table[-1]].eq(1).all()


@settings
@hypothesis.given(st.data())
def test_scores_are_those_of_torch_distributions(data):
    """Where the covariances are well conditioned."""
    x, y, classes = data.draw(problems(largest=4.0))
    chosen = data.draw(options(x.shape[1]))
    chosen['rank'] = None
    kind = chosen['covariance_type']
    x = x.double()
    model, _ = fitted(x, y, classes, True, **chosen)
    moments = model.new_moments().update(x, y)
    chosen.pop('rank')
    priors = chosen.pop('priors')
    cov = estimate_covariances(moments, **chosen).covariances
    if kind == 'diag':
        cov = torch.diag_embed(cov)
    present = (moments.counts > 0).nonzero()[:, 0].tolist()
    cov = cov.expand(classes, -1, -1)[present]
    hypothesis.assume(float(torch.linalg.cond(cov).max()) < 1e6)
    weights = moments.counts if priors == 'empirical' else moments.counts > 0
    reference = MultivariateNormal(moments.means[present], cov)
    each = reference.log_prob(x[:, None])
    # The mean has 16 digits, the spread may be small against it.
    size = float(x.abs().max() / cov.diagonal(dim1=1, dim2=2).min().sqrt())
    close = dict(rtol=1e-6, atol=1e-6 + 1e-7 * size)
    np.testing.assert_allclose(model.log_prob(x)[:, present], each, **close)
    log_priors = (weights / weights.sum()).log()[present]
    np.testing.assert_allclose(
        model.score_samples(x), torch.logsumexp(each + log_priors, 1), **close
    )


@settings
@hypothesis.given(st.data())
def test_single_precision_is_close_to_double(data):
    """Errors of float32 as docs/numerics.md has them."""
    x, y, classes = data.draw(problems(largest=6.0))
    chosen = data.draw(options(x.shape[1]))
    chosen['reg_covar'] = 1e-3
    x = x.float()
    exact, _ = fitted(x, y, classes, True, **chosen)
    single, _ = fitted(x, y, classes, **chosen)
    a = exact.score_samples(x)
    b = single.score_samples(x).double()
    size = (x.double() - exact.offset).norm(dim=1).max().square()
    variance = exact.precisions_cholesky.abs().max() ** -2
    if exact.rank is not None:
        variance = torch.minimum(variance, exact.residual_variance)
    amplified = float(size / variance)  # squared deviations
    bound = 1e-6 * (amplified + x.shape[1]) + 1e-5 * a.abs().max() + 1e-5
    assert (a - b).abs().max() < bound
