"""Coverage and errors against a loop over images."""

import torch

from mmseg_ddu.core.metrics.abstained import AbstentionCounts
from mmseg_ddu.core.metrics.metric import VOID, JudgedImage


def image(seed):
    rng = torch.Generator().manual_seed(seed)
    classes = torch.randint(3, (9, 11), generator=rng)
    labels = torch.randint(3, (9, 11), generator=rng)
    labels[seed % 9] = VOID
    refused = torch.rand(9, 11, generator=rng) < 0.1 * (1 + seed)
    return JudgedImage(classes, labels, refused=refused)


def test_figures_against_a_loop():
    counts = AbstentionCounts()
    assert counts.figures() == {}
    images = [image(seed) for seed in range(5)]
    for each in images:
        counts.count(each)
    kept = wrong_kept = wrong = 0.0
    for each in images:
        triples = [
            (int(c), int(y), bool(r))
            for c, y, r in zip(
                each.classes.flatten(),
                each.labels.flatten(),
                each.refused.flatten(),
            )
            if y != VOID
        ]
        kept += sum(not r for *_, r in triples) / len(triples)
        wrong += sum(c != y for c, y, _ in triples) / len(triples)
        wrong_kept += sum(c != y and not r for c, y, r in triples) / len(
            triples
        )
    expected = dict(
        coverage=kept / 5,
        error=wrong / 5,
        error_kept=wrong_kept / kept,
        error_refused=(wrong - wrong_kept) / (5 - kept),
    )
    torch.testing.assert_close(counts.figures(), expected)


def test_parts_merge_and_others_do_not_count():
    first, second, both = (AbstentionCounts() for _ in range(3))
    first.count(image(0))
    second.count(image(1))
    both.count(image(0))
    both.count(image(1))
    nothing = image(2)
    nothing.refused = None
    both.count(nothing)
    void = image(3)
    void.labels[:] = VOID
    both.count(void)
    first.merge(second)
    torch.testing.assert_close(first.figures(), both.figures())
