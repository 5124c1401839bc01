"""The figures, against scikit-learn and loops in float64."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from mmseg_ddu.apis.model_check.error_figures import left_after_correction
from mmseg_ddu.apis.model_check.gaussian_fit import own_densities, several_gain
from mmseg_ddu.apis.model_check.over_images import (
    LEAST_IMAGES,
    RESAMPLES,
    ImagePixels,
    draws,
    interval_of,
    with_interval,
)
from mmseg_ddu.apis.model_check.sentences import SEES, SOMEWHAT, doubt, word
from mmseg_ddu.apis.model_check.strangeness_figures import (
    CONSTANT,
    ROWS,
    shift_figures,
)
from mmseg_ddu.apis.model_check.whole_and_slide import (
    FLAGGED,
    mode_figures,
    rank_correlation,
)
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.models.gda_head import GDAHead


@pytest.fixture
def pixels():
    generator = torch.Generator().manual_seed(0)
    images = torch.arange(12).repeat_interleave(25)
    positives = torch.rand(300, generator=generator) < 0.3
    scores = torch.randint(0, 20, (300,), generator=generator).float()
    return scores + 4 * positives, positives, images


def test_resamples_are_images_taken_several_times(pixels):
    scores, positives, images = pixels
    times = draws(12, 0)
    assert len(times) == 1 + RESAMPLES
    assert times[0].tolist() == [1] * 12
    found = ImagePixels(*pixels)
    for drawn in times[:5]:
        assert drawn.sum() == 12
        again = drawn[images]
        expected = roc_auc_score(
            positives.repeat_interleave(again),
            scores.repeat_interleave(again),
        )
        assert found.counts(drawn).auroc() == pytest.approx(expected)


def test_the_interval_is_that_of_the_resamples(pixels):
    found = ImagePixels(*pixels)
    times = draws(12, 0)
    entry = with_interval(lambda t: found.counts(t).auroc(), times)
    values = [found.counts(t).auroc() for t in times[1:]]
    bias = np.median(values) - entry['value']
    assert entry['low'] == pytest.approx(np.percentile(values, 5) - bias)
    assert entry['high'] == pytest.approx(np.percentile(values, 95) - bias)
    assert entry['low'] < entry['value'] < entry['high']
    nothing = with_interval(lambda t: math.nan, times)
    assert nothing == dict(value=None, low=None, high=None)


def test_an_interval_holds_its_value_and_stays_in_range():
    values = [0.002, *np.linspace(0.003, 0.008, 100)]  # resamples are above
    entry = interval_of(values)
    assert entry['low'] == 0 < entry['value'] < entry['high'] < 0.008


def test_an_interval_below_zero_holds_its_value():
    entry = interval_of([-0.3, *np.linspace(-0.4, -0.2, 100)])
    assert entry['low'] < entry['value'] < entry['high'] < 0


def test_few_images_have_no_range():
    entry = with_interval(lambda t: 0.75, draws(LEAST_IMAGES - 1, 0))
    assert entry == dict(value=0.75, low=None, high=None)
    assert doubt(entry, 9) == '.75, 9 images: too few for a range'
    entry = with_interval(lambda t: 0.75, draws(LEAST_IMAGES, 0))
    assert doubt(entry, 10) == '.75, .75 to .75 over 10 images'


@pytest.mark.parametrize('share', [0.01, 0.1, 0.5])
def test_error_left_after_a_person_corrected(share):
    generator = torch.Generator().manual_seed(1)
    scores = torch.randperm(1000, generator=generator).float()
    wrong = torch.rand(1000, generator=generator) < scores / 2000
    counts = RankingCounts(bits=32)
    counts.update(scores, wrong)
    order = sorted(range(1000), key=lambda i: -scores[i])
    left = [bool(wrong[i]) for i in order[round(share * 1000) :]]
    found = left_after_correction(counts, share)
    assert found == pytest.approx(sum(left) / 1000)


def test_rank_correlation_with_ties():
    generator = torch.Generator().manual_seed(2)
    first = torch.randint(0, 9, (200,), generator=generator)
    second = first + torch.randint(0, 9, (200,), generator=generator)
    expected = spearmanr(first, second).statistic
    assert rank_correlation(first, second) == pytest.approx(expected)


def test_densities_of_the_own_class_in_float64():
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(3).repeat_interleave(400)
    vectors = torch.randn(1200, 5, generator=generator)
    vectors = vectors * (1 + labels[:, None]) + 3 * labels[:, None]
    head = GDAHead(3, 5, transform='raw', shrinkage=0.0, reg_covar=1e-9)
    moments = head.new_moments()
    head.update(moments, vectors, labels)
    head.density.fit_moments(moments)
    log_probs, distances = own_densities(head, vectors, labels)
    for label in range(3):
        own = vectors[labels == label].double().numpy()
        gaps = own - own.mean(0)
        covariance = gaps.T @ gaps / (len(own) - 1)
        squares = (gaps @ np.linalg.inv(covariance) * gaps).sum(1)
        norm = np.linalg.slogdet(2 * np.pi * covariance)[1]
        expected = -(squares + norm) / 2
        found = log_probs[labels == label].numpy()
        assert np.allclose(found, expected, rtol=5e-3)
        mean = distances[labels == label].mean()
        assert mean == pytest.approx(squares.mean() / 5, rel=1e-2)


def test_several_gaussians_gain_on_a_mixture_alone():
    generator = torch.Generator().manual_seed(4)
    vectors = torch.randn(3600, 20, generator=generator)
    labels = torch.arange(3).repeat_interleave(1200)
    parts = torch.randint(0, 4, (1200,), generator=generator)
    centers = 12 * torch.randn(4, 20, generator=generator)
    vectors[labels == 1] += centers[parts]
    half = torch.rand(3600, generator=generator) < 0.5
    labels[labels == 2] = torch.where(torch.arange(1200) < 10, 2, 0)
    vectors[:2, 3] = torch.tensor([torch.nan, torch.inf])
    one, mixture, few = several_gain(vectors, labels, half, 3, 0)
    assert mixture > 1 > 0.3 > one
    assert few is None


def test_words():
    assert word(SEES) == 'sees'
    assert word(SEES - 0.001) == word(SOMEWHAT) == 'sees somewhat'
    assert word(SOMEWHAT - 0.001) == 'does not see'


def part(seed, void=0.3):
    rng = torch.Generator().manual_seed(seed)
    known = torch.rand(400, generator=rng) > void
    scores = {row: torch.randn(400, generator=rng) for row in ROWS}
    scores['epistemic'][~known] += 5
    found = dict(scores, known=known, bins=torch.ones(15, 3))
    numbers = dict(right=250.0, labelled=float(known.sum()), novelty=seed)
    return {
        name: np.asarray(value) for name, value in {**found, **numbers}.items()
    }


def test_void_counts_on_neither_side_of_a_shift():
    plain = [part(seed) for seed in range(12)]
    moved = [part(seed + 100) for seed in range(12)]
    gone = [dict(p, known=np.zeros(400, bool)) for p in moved]
    kinds = dict(nothing=plain, blur=moved, faint_blur=plain, noise=gone)
    found = shift_figures(plain, kinds, 0)

    def auroc(strange):
        low = np.concatenate([p['epistemic'][p['known']] for p in plain])
        high = np.concatenate(strange)
        truth = np.r_[np.zeros(len(low)), np.ones(len(high))]
        return pytest.approx(roc_auc_score(truth, np.r_[low, high]), abs=1e-3)

    values = {
        kind: entry['auroc']['epistemic']['value']
        for kind, entry in found['kinds'].items()
    }
    assert values['nothing'] == pytest.approx(0.5)
    assert values['blur'] == auroc([p['epistemic'][p['known']] for p in moved])
    assert values['noise'] == auroc([p['epistemic'] for p in moved])
    some = [values[k] for k in ('nothing', 'blur', 'noise')]
    assert found['mean']['epistemic']['value'] == pytest.approx(sum(some) / 3)
    assert found['mean_of_faint']['value'] == pytest.approx(0.5)
    assert found['kinds']['blur']['auroc'][CONSTANT]['value'] == 1
    assert found['mean_by_novelty']['value'] == pytest.approx(2.5 / 3)


def test_modes_are_compared_over_images():
    generator = np.random.default_rng(0)
    parts = []
    for image in range(LEAST_IMAGES):
        used = generator.random(40 + image)  # percentiles order as the map
        other = (used + 0.1 * generator.random(len(used))) / 1.1
        parts.append(
            {
                'used': np.log(used),
                'other': np.log(other),
                'used_percentile': used,
                'other_percentile': other,
            }
        )
    found = mode_figures([*parts, {}], 'whole', seed=0)
    assert found['images'] == LEAST_IMAGES  # one was too large
    used, other = (
        np.concatenate([part[name] for part in parts])
        for name in ('used', 'other')
    )
    correlation = found['correlation']
    assert correlation['value'] == pytest.approx(spearmanr(used, other)[0])
    assert correlation['low'] < correlation['value'] < correlation['high']
    flags = [p['used_percentile'] > FLAGGED for p in parts]
    lost = [
        flag & (p['other_percentile'] <= FLAGGED)
        for flag, p in zip(flags, parts)
    ]
    wanted = sum(map(np.sum, lost)) / sum(map(np.sum, flags))
    assert found['flips']['value'] == pytest.approx(wanted)
    assert found['flips']['low'] < wanted < found['flips']['high']
    few = mode_figures(parts[:3], 'whole', seed=0)
    assert few['flips']['low'] is None and few['images'] == 3
    assert mode_figures([{}], 'whole', seed=0) == dict(images=0)
