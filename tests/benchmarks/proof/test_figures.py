"""Figures of the proof against scikit-learn, and what counts in them."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.proof.figures import (
    error_figures,
    other_figures,
    shift_figures,
    unknown_by_set,
    unknown_figures,
)
from benchmarks.proof.pixel_scores import PixelScores

VOID = 255


def pixels(seed, images=4, number=500, **changes):
    """Of classes 0 and 1, void, and the values 7 and 8 where void."""
    rng = torch.Generator().manual_seed(seed)
    size = images * number
    labels = torch.randint(0, 3, (size,), generator=rng)
    values = torch.where(labels == 2, labels + 5, labels)
    fields = dict(
        scores={'total': torch.randn(size, generator=rng)},
        labels=torch.where(labels == 2, VOID, labels),
        classes={'': torch.randint(0, 2, (size,), generator=rng)},
        values=values,
        images=torch.arange(images).repeat_interleave(number),
        void=VOID,
    )
    return PixelScores(**{**fields, **changes})


def auroc(low, high):
    truth = np.r_[np.zeros(len(low)), np.ones(len(high))]
    return roc_auc_score(truth, np.r_[low, high])


def test_errors_and_unknown_objects():
    plain = pixels(0)
    scores, known = plain.scores['total'], plain.labels != VOID
    wrong = plain.classes[''] != plain.labels
    figures = error_figures(plain, 'total')
    expected = auroc(scores[known & ~wrong], scores[known & wrong])
    assert figures['errors'] == pytest.approx(expected)
    figures = unknown_figures(plain, 'total', (7,))
    expected = auroc(scores[known], scores[plain.values == 7])
    assert figures['auroc'] == pytest.approx(expected)
    sets = dict(near=(plain, (7,)), far=(plain, (8, 7)))
    found = unknown_by_set(sets, 'total')
    assert found['unknown'] == dict(
        near=figures['auroc'],
        far=unknown_figures(plain, 'total', (8, 7))['auroc'],
    )
    assert found['unknown_fpr95']['near'] == figures['fpr95']


def test_shifts_are_against_the_same_images_without_void():
    plain = pixels(0)
    moved = pixels(1, images=2)
    moved.scores['total'] += 0.5
    found = shift_figures(plain, {'blur': moved}, 'total')
    low = plain.scores['total'][(plain.labels != VOID) & (plain.images < 2)]
    high = moved.scores['total'][moved.labels != VOID]
    assert found['shifts']['blur'] == pytest.approx(auroc(low, high))
    assert found['shifts_mean'] == found['shifts']['blur']


def test_a_shift_that_changes_nothing_is_chance():
    """Also where void is what the score finds most uncertain."""
    plain = pixels(0)
    plain.scores['total'][plain.labels == VOID] += 5
    found = shift_figures(plain, {'nothing': plain}, 'total')
    assert found['shifts_mean'] == pytest.approx(0.5)
    assert found['images_mean'] == pytest.approx(0.5)


def test_all_pixels_count_where_a_shift_leaves_no_label():
    plain = pixels(0)
    moved = pixels(1)
    moved.labels[:] = VOID
    found = shift_figures(plain, {'noise': moved}, 'total')
    low = plain.scores['total'][plain.labels != VOID]
    expected = auroc(low, moved.scores['total'])
    assert found['shifts']['noise'] == pytest.approx(expected)
    assert other_figures(plain, moved, 'total')['other_data'] == pytest.approx(
        expected
    )


def test_upside_down_is_kept_and_left_out_of_the_means():
    plain, moved, turned = pixels(0), pixels(1), pixels(2)
    turned.scores['total'] += 3
    both = dict(blur=moved, upside_down=turned)
    found = shift_figures(plain, both, 'total')
    alone = shift_figures(plain, dict(blur=moved), 'total')
    assert found['shifts']['upside_down'] > 0.9
    assert found['shifts_mean'] == alone['shifts']['blur']
    assert found['images_mean'] == alone['images_mean']


def test_images_of_another_data_set_by_their_means():
    plain, other = pixels(0, images=9), pixels(1, images=5)
    low, high = (
        part.scores['total'].double().view(-1, 500).mean(1)
        for part in (plain, other)
    )
    found = other_figures(plain, other, 'total')['other_images']
    assert found == pytest.approx(auroc(low, high))
