"""Whatever the options of the views: finite scores, monotone percentiles."""

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.models import GDAHead
from mmseg_ddu.models.presets import PREDICTED

CLASSES, CHANNELS, SIZE = 3, 4, 6
DENSITY = dict(
    covariance_type=st.sampled_from(['full', 'tied', 'diag']),
    rank=st.sampled_from([None, 1, 3]),
    shrinkage=st.sampled_from([0.0, 0.3, 1.0, 'oas']),
    shrinkage_target=st.sampled_from(['tied', 'identity']),
    priors=st.sampled_from(['uniform', 'empirical']),
)
SUM = dict(
    weight=st.sampled_from([0.0, 0.25, 1.0]),
    region_weight=st.sampled_from([0.0, 0.5]),
    excess=st.sampled_from([None, 0.0, 0.8]),
)


def options(tap, transforms, channels, **more):
    return st.fixed_dictionaries(
        dict(
            tap=st.just(tap),
            transform=st.sampled_from(transforms),
            channels=st.just(channels),
            **SUM,
            **more,
        )
    )


density = options(
    'penultimate',
    ['raw', 'direction', 'log_norm'],
    CHANNELS,
    standardize=st.booleans(),
    stride=st.sampled_from([1, 2]),
    **DENSITY,
)
entropy = options(
    'logits',
    ['entropy'],
    CLASSES,
    window=st.sampled_from([1, 3, 5]),
    log_scale=st.sampled_from([None, 0.03]),
    stride=st.sampled_from([1, 2]),
)
style = options('backbone[0]', ['style', 'signal_to_noise'], 2)
posterior = options(
    'backbone[0]', ['posterior'], 2, stride=st.sampled_from([1, 2])
)
colors = options('input', ['colors'], 3)
heads = st.tuples(
    density,
    st.lists(
        st.one_of(density, entropy, style, posterior, colors), max_size=3
    ),
)


def features(generator, scale, shift):
    """What a network gives for one image."""

    def numbers(channels, size):
        shape = (1, channels, size, size)
        values = torch.randn(shape, generator=generator) * scale + shift
        return values

    logits = numbers(CLASSES, SIZE)
    return {
        'penultimate': numbers(CHANNELS, SIZE),
        'logits': logits,
        'backbone[0]': numbers(2, SIZE),
        'input': numbers(3, 4 * SIZE),
        PREDICTED: logits.argmax(1, keepdim=True),
    }


@settings(max_examples=60, deadline=None)
@given(
    heads,
    st.integers(0, 10_000),
    st.sampled_from([1e-6, 1.0, 1e4]),
    st.sampled_from([0.0, 1e4]),
    st.sampled_from([1.0, 1e6, 1e15, 1e30]),
)
def test_scores_are_finite(views, seed, scale, shift, far):
    """Also of features ``far`` times as large as any that were seen."""
    views = [views[0], *views[1]]
    assume(any(view['weight'] or view['region_weight'] for view in views))
    head = GDAHead(CLASSES, channels=CHANNELS, views=views)
    generator = torch.Generator().manual_seed(seed)
    fitter = DensityFitter(head, held_out=[0, 1])
    for index in range(8):
        labels = torch.randint(0, CLASSES, (SIZE, SIZE), generator=generator)
        fitter.update(features(generator, scale, shift), labels, index)
    fitter.finalize()
    for factor in (1.0, far):
        given = features(generator, scale, shift)
        given = {
            key: value * factor if value.is_floating_point() else value
            for key, value in given.items()
        }
        scores = head(given)
        assert scores.shape == (1, 1, SIZE, SIZE)
        assert torch.isfinite(scores).all()
        order = scores.flatten().sort().values
        shares = head.percentile(order)
        assert (shares >= 0).all() and (shares <= 1).all()
        assert (shares.diff() >= 0).all()
