"""Are spoiled labels among the images that are listed first?

Five kinds of errors go into the labels of 5% of the images each, with several
seeds: an object with another name, a missing object, a mask that is shifted,
a border drawn too wide, an object that is none. Scores are ours, cleanlab's
for segmentation (softmin, from the same probabilities; pip install cleanlab),
ours weighted by how ordinary the feature of each pixel is, the share of
pixels where label and prediction differ, the means of uncertainties, which do
not see the labels, and chance. Images that were wrong before count as false
alarms.

Also how well the means of uncertainties rank the images by their error
(Spearman), which is what --for review goes by.

  python -m benchmarks.decisions.label_errors CONFIG CHECKPOINT_gda.pth NAME
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from rich.progress import track

from benchmarks.answers import add_answer, parser_of_decisions
from benchmarks.decisions.spoiled_labels import KINDS, SHARE, spoil_dataset
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli, init_ddu
from mmseg_ddu.apis.ranking.worst_region import worst_pixels
from mmseg_ddu.apis.unseen_images import labelled_images
from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.core.scores import energy, log_probabilities
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.models.heads import last_decode_head

try:
    from cleanlab.segmentation.rank import get_label_quality_scores
except ImportError:
    get_label_quality_scores = None

FIRST = 50
SHARE_FIRST = 0.1
UNCERTAINTIES = dict(
    total='pred_total',
    entropy='pred_aleatoric',
    epistemic='pred_epistemic_percentile',
)


def label_scores(
    log_probs: np.ndarray, labels: np.ndarray, ordinary: np.ndarray
) -> dict:
    """Scores of an image that see its labels.

    Args:
        log_probs (np.ndarray): (C, N), of the labelled pixels.
        labels (np.ndarray): (N,)
        ordinary (np.ndarray): (N,), share of training pixels stranger.
    """
    chosen = np.take_along_axis(log_probs, labels[None], 0)
    found = dict(
        ours=worst_pixels(-chosen)[0],
        weighted=worst_pixels(-chosen * ordinary)[0],
        disagreement=float((log_probs.argmax(0) != labels).mean()),
    )
    if get_label_quality_scores is not None:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            quality, _ = get_label_quality_scores(
                labels[None, None],
                np.exp(log_probs)[None, :, None],
                verbose=False,
            )
        found['cleanlab'] = -float(quality[0])
    return found


@torch.no_grad()
def scores_of(model, dataset, spoiled: list[dict]) -> tuple[list, list]:
    """Scores of each image as it is, and spoiled by each seed."""
    void = last_decode_head(model).ignore_index
    plain: list[dict] = []
    changed: list[dict] = [{} for _ in spoiled]
    for index in track(range(len(dataset)), 'Scores'):
        sample = model.test_step(as_batch(dataset[index]))[0]
        labels = sample.gt_sem_seg.data[0].cpu().numpy().astype(np.int64)
        known = labels != void
        logits = sample.seg_logits.data.cpu()
        log_probs = log_probabilities(logits[None])[0].numpy()[:, known]
        strange = sample.pred_epistemic_percentile.data[0].cpu().numpy()
        ordinary = 1 - strange[known]
        row = label_scores(log_probs, labels[known], ordinary)
        # Of all pixels, as an export has them.
        for name, field in UNCERTAINTIES.items():
            row[name] = float(sample.get(field).data.mean())
        row['energy'] = float(energy(logits[None]).mean())
        plain.append(row)
        for seed, errors in enumerate(spoiled):
            if index in errors:
                wrong = errors[index][1].astype(np.int64)[known]
                scores = label_scores(log_probs, wrong, ordinary)
                changed[seed][index] = scores
    return plain, changed


def judge(score: list[float], positive: list[bool]) -> dict[str, float]:
    """Precision, recall and AUROC of a ranking."""
    values, truth = np.array(score), np.array(positive)
    order = np.argsort(-values, kind='stable')
    first = round(SHARE_FIRST * len(order))
    counts = RankingCounts()
    counts.update(torch.from_numpy(values).float(), torch.from_numpy(truth))
    return dict(
        precision50=float(truth[order[:FIRST]].mean()),
        recall10=float(truth[order[:first]].sum() / truth.sum()),
        auroc=counts.auroc(),
    )


def figures(plain: list, spoiled: list, changed: list) -> dict:
    """Score to the means over seeds, and their spread."""
    names = [*plain[0], 'random', 'best possible']
    found: dict = {}
    for name in names:
        rows = []
        for seed, errors in enumerate(spoiled):
            rng = np.random.default_rng(seed)
            positive = [index in errors for index in range(len(plain))]
            if name == 'random':
                score = rng.random(len(plain)).tolist()
            elif name == 'best possible':
                score = [float(each) for each in positive]
            else:
                score = [
                    changed[seed].get(index, row).get(name, row[name])
                    for index, row in enumerate(plain)
                ]
            rows.append(judge(score, positive))
        found[name] = {}
        for key in rows[0]:
            values = [row[key] for row in rows]
            found[name][key] = float(np.mean(values))
            found[name][f'{key}_std'] = float(np.std(values, ddof=1))
    return found


def found_by_kind(plain: list, spoiled: list, changed: list) -> dict:
    """Kind of error to the share of them among the first images, by ours."""
    hits: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for errors, scores in zip(spoiled, changed):
        values = [scores.get(i, row)['ours'] for i, row in enumerate(plain)]
        first = set(np.argsort(values)[::-1][:FIRST].tolist())
        for index, (kind, _) in errors.items():
            hits[kind].append(index in first)
    return {kind: float(np.mean(each)) for kind, each in hits.items()}


def review(plain: list) -> dict[str, float]:
    """Spearman's correlation of mean scores with the share of errors."""

    def ranks(name: str) -> np.ndarray:
        values = np.array([row[name] for row in plain])
        _, place, count = np.unique(
            values, return_inverse=True, return_counts=True
        )
        return (np.cumsum(count) - (count - 1) / 2)[place]

    truth = ranks('disagreement')
    return {
        name: float(np.corrcoef(ranks(name), truth)[0, 1])
        for name in (*UNCERTAINTIES, 'energy')
    }


def main() -> None:
    parser = parser_of_decisions(__doc__, 'label_errors')
    parser.add_argument('--seeds', type=int, default=10)
    args = parser.parse_args()
    model = init_ddu(args.config, args.checkpoint)
    dataset = labelled_images(model, args.split)
    spoiled = spoil_dataset(dataset, args.seeds)
    plain, changed = scores_of(model, dataset, spoiled)
    entry = figures(plain, spoiled, changed)
    names = list(entry['random'])
    lines = [
        [score, *(f'{row[key]:.3f}' for key in names)]
        for score, row in entry.items()
    ]
    kinds = found_by_kind(plain, spoiled, changed)
    sorts = review(plain)
    print(markdown_table(['score', *names], lines))
    print(f'Found among {FIRST}: {kinds}\nSpearman with the error: {sorts}')
    set_up = dict(
        images=len(plain),
        spoiled=len(spoiled[0]),
        share_of_each_kind=SHARE,
        seeds=args.seeds,
        found_by_kind=kinds,
    )
    for key, value in dict(
        label_errors=entry, label_errors_set_up=set_up, review=sorts
    ).items():
        add_answer(args.json, {args.name: value}, key)


if __name__ == '__main__':
    cli.run(main)
