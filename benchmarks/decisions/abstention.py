"""Are promises of abstention kept, and how much is kept for them?

Counts the errors of labelled images by total, entropy, energy and density,
then splits the images 500 times at random into halves: one finds the
threshold, the other says whether the promise was kept and how many pixels.
Also the smallest error that all images together can promise.

  python -m benchmarks.decisions.abstention CONFIG CHECKPOINT_gda.pth NAME
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.answers import add_answer, parser_of_decisions
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli, init_ddu
from mmseg_ddu.apis.unseen_images import labelled_images
from mmseg_ddu.core import risk_control as risk
from mmseg_ddu.core.scores import energy
from mmseg_ddu.core.surprise import Surprise
from mmseg_ddu.engine.fitting_data import (
    SeededSubset,
    as_batch,
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.models.heads import last_decode_head

SCORES = ('total', 'aleatoric', 'epistemic', 'energy')
PROMISES = (0.02, 0.03, 0.05, 0.1)
CONFIDENCE = 0.9
SPLITS = 500
# Where tests start: as many nats as so many training pixels have.
STARTS = [int(-math.log(1 - share) / risk.STEP) for share in risk.STARTS]
GRID_IMAGES = 20  # of training, for the thresholds of the energy


@torch.no_grad()
def count(model, split: str) -> dict[str, tuple]:
    """Score to the shares that its thresholds keep, and keep wrongly."""
    tables = dict(model.surprises)
    del tables['total']  # in nats of surprise already
    training = fitting_dataset(fitting_dataset_config(model.cfg))
    parts = []
    for item in SeededSubset(training, GRID_IMAGES, 0):
        sample = model.test_step(as_batch(item))[0]
        parts.append(energy(sample.seg_logits.data[None]).flatten()[::29])
    tables['energy'] = Surprise()
    tables['energy'].fit(torch.cat(parts))
    void = last_decode_head(model).ignore_index
    counts: dict[str, list] = {score: [] for score in SCORES}
    dataset = labelled_images(model, split)
    for index in track(range(len(dataset)), 'Errors by score'):
        sample = model.test_step(as_batch(dataset[index]))[0]
        maps = {f: sample.get(f'pred_{f}').data[0] for f in SCORES[:3]}
        maps['energy'] = energy(sample.seg_logits.data[None])[0, 0]
        labels = sample.gt_sem_seg.data[0]
        classes = sample.pred_sem_seg.data[0]
        for score, values in maps.items():
            if score in tables:
                values = tables[score](values)
            rows = risk.count_errors(values, classes, labels, void)
            counts[score].append(rows)
    return {score: risk.shares(rows) for score, rows in counts.items()}


def judge(counts: dict, error: float, confidence: float | None) -> dict:
    """Score to what random halves say of a promise.

    ``mean_error`` and ``share_of_splits_kept`` count the splits in which
    there is a threshold (``share_reached``), None without one; coverage
    counts the others as 0.
    """
    found = {}
    for score, (kept, wrong) in counts.items():
        generator = torch.Generator().manual_seed(0)
        errors, coverages = [], []
        for _ in range(SPLITS):
            order = torch.randperm(len(kept), generator=generator)
            here, there = order.chunk(2)
            level = risk.find_level(
                kept[here], wrong[here], error, confidence, STARTS
            )
            coverages.append(0.0)
            if level is not None:
                share = kept[there, level].mean()
                coverages[-1] = float(share)
                errors.append(float(wrong[there, level].mean() / share))
        seen = torch.tensor(errors, dtype=torch.float64)
        found[score] = dict(
            mean_error=mean_or_none(seen),
            share_of_splits_kept=mean_or_none((seen <= error).double()),
            share_reached=len(errors) / SPLITS,
            coverage=float(torch.tensor(coverages).mean()),
            coverage_std=float(torch.tensor(coverages).std()),
        )
    return found


def mean_or_none(values: torch.Tensor) -> float | None:
    return float(values.mean()) if len(values) else None


def smallest(counts: dict) -> dict:
    """Score to the smallest errors that all images can promise."""
    return {
        score: dict(
            on_average=risk.smallest_error(*shares),
            with_confidence=risk.smallest_error(*shares, CONFIDENCE, STARTS),
        )
        for score, shares in counts.items()
    }


def headline(entry: dict) -> dict:
    """What is said first of a data set: of one promise, total and coverages.

    It is the largest of those measured that is below the error without
    refusing, so that something has to be refused.

    Args:
        entry (dict): With ``error_without`` and ``promises``.

    Returns:
        dict: ``promise``, ``mean_error``, ``share_of_splits_kept``,
        ``share_reached`` and ``coverage`` by score, of the promise on
        average; of that with a confidence under ``with_confidence``. Nothing
        if each promise is kept without refusing.
    """
    promises = [
        each
        for each in entry['promises']
        if each['promise'] < entry['error_without']
    ]
    largest = max((each['promise'] for each in promises), default=None)
    found = {
        each['confidence']: dict(promise=largest, **_of_total(each['scores']))
        for each in promises
        if each['promise'] == largest
    }
    if not found:
        return {}
    surer = dict(confidence=CONFIDENCE, **found[CONFIDENCE])
    return dict(found[None], with_confidence=surer)


def _of_total(scores: dict) -> dict:
    """Figures of the total, None where no split has a threshold."""
    total = scores['total']
    reached = total['share_reached']
    figures = {
        name: total[name] if reached else None
        for name in ('mean_error', 'share_of_splits_kept')
    }
    coverage = {score: each['coverage'] for score, each in scores.items()}
    return dict(figures, share_reached=reached, coverage=coverage)


def main() -> None:
    parser = parser_of_decisions(__doc__, 'abstention')
    parser.add_argument('--counts', type=Path, help='keep them here')
    args = parser.parse_args()
    if args.counts and args.counts.exists():
        counts = torch.load(args.counts)
    else:
        counts = count(init_ddu(args.config, args.checkpoint), args.split)
        if args.counts:
            torch.save(counts, args.counts)
    kept, wrong = counts['total']
    entry = dict(
        images=len(kept),
        error_without=float(wrong[:, -1].mean()),
        splits=SPLITS,
        smallest=smallest(counts),
        promises=[],
    )
    lines = []
    for error in PROMISES:
        for confidence in (None, CONFIDENCE):
            found = judge(counts, error, confidence)
            entry['promises'].append(
                dict(promise=error, confidence=confidence, scores=found)
            )
            for score, f in found.items():
                numbers = f.values()
                lines.append(
                    [error, confidence, score, *(f'{v:.3f}' for v in numbers)]
                )
    entry.update(headline(entry))
    print(f'{len(kept)} images, {entry["error_without"]:.3f} wrong')
    print(f'Smallest errors to promise with all: {entry["smallest"]}')
    names = next(iter(found.values()))
    print(markdown_table(['promise', 'confidence', 'score', *names], lines))
    add_answer(args.json, {args.name: entry}, 'abstention')


if __name__ == '__main__':
    cli.run(main)
