"""What holds for every input, over all options of the density.

More examples: ``NUMBERS_EXAMPLES=2000 pytest tests/core/test_properties.py``.
"""

import os

import pytest
import torch

from mmseg_ddu.core.bounds import WORST
from mmseg_ddu.core.densities.gaussian import GaussianDensity
from mmseg_ddu.core.moments import ClassMoments
from mmseg_ddu.core.surprise import Surprise
from tests.core.test_moments import merged

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


def fitted(x, y, classes, **chosen):
    model = GaussianDensity(classes, x.shape[1], **chosen)
    report = model.fit_moments(model.new_moments().update(x, y))
    return model, report


@settings
@hypothesis.given(st.data())
def test_finite_inputs_have_scores(data):
    """Ordinary ones a finite one; odd ones leave the others alone."""
    x, y, classes = data.draw(problems(largest=6.0))
    model, report = fitted(x, y, classes, **data.draw(options(x.shape[1])))
    assert report['nonfinite'] == 0
    for name, buffer in model.named_buffers():
        if name not in ('log_norms', 'sketch_constant'):
            assert torch.isfinite(buffer).all(), name
    scores = model.score_samples(x[:50])
    assert scores.isfinite().all()
    present = (y.bincount(minlength=classes) > 0).nonzero()[:, 0]
    assert model.log_prob(x[:50])[:, present].isfinite().all()
    odd = x[:50].clone().float()
    odd[::2, -1] = torch.nan
    again = model.score_samples(odd)
    close = dict(rtol=1e-3, atol=1e-3 * float(scores.abs().max()))
    torch.testing.assert_close(again[1::2], scores[1::2], **close)
    assert again[::2].isnan().all()


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
    assert_same(merged(parts), whole, digits)


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
    assert_same(merged([a, b]), merged([b, a]), 1e-12)
    assert_same(
        merged([merged([a, b]), c]), merged([a, merged([b, c])]), 1e-12
    )


@settings
@hypothesis.given(st.data())
def test_surprise_rises_with_the_score(data):
    rng = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    scale = 10.0 ** data.draw(st.floats(-5, 20))
    sample = torch.randn(data.draw(st.integers(1, 300)), generator=rng)
    if data.draw(st.booleans()):
        sample = sample.round()  # ties
    sample = sample * scale + data.draw(st.sampled_from([0.0, 1e4 * scale]))
    surprise = Surprise(data.draw(st.booleans()))
    surprise.fit(sample)
    around = torch.cat([sample, torch.randn(500, generator=rng) * 3 * scale])
    scores = torch.cat([around, torch.tensor([-WORST, WORST])]).sort().values
    shares = surprise.percentile(scores)
    assert (shares.diff() >= -1e-6).all()
    assert shares[0] == 0 and shares[-1] == 1
