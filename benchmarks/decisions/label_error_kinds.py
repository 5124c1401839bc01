"""Is the kind of a label error named that was put in?

Five kinds of errors go into labels, as for benchmarks.decisions.label_errors.
Of the images that are listed first, those count whose worst region lies on
the error (most of its pixels were changed): the kind that was put in against
the kind that is named. The others (false alarms, and regions elsewhere) are
what the labels and the network were before.

  python -m benchmarks.decisions.label_error_kinds CONFIG FITTED NAME
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from benchmarks.answers import add_answer, parser_of_decisions
from benchmarks.decisions.spoiled_labels import KINDS, spoil_dataset
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli, init_ddu
from mmseg_ddu.apis.ranking.error_kind import NAMES, error_kind
from mmseg_ddu.apis.ranking.label_errors import least_believed
from mmseg_ddu.apis.unseen_images import labelled_images
from mmseg_ddu.core.scores import log_probabilities
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.models.heads import last_decode_head

FIRST = 50
OTHERS = 'no error put in there'


class Found(NamedTuple):
    """What is found in an image.

    Attributes:
        score (float): Images are listed by it.
        kind (Callable): Gives the name of the kind of error.
        on_error (bool): Whether the worst region lies on what was put in.
    """

    score: float
    kind: Callable[[], str]
    on_error: bool = False


@torch.no_grad()
def look(model, dataset, spoiled: list[dict]) -> tuple[list, list]:
    """What is found in each image as it is, and spoiled by each seed."""
    void = last_decode_head(model).ignore_index
    plain: list[Found] = []
    changed: list[dict[int, Found]] = [{} for _ in spoiled]
    for index in track(range(len(dataset)), 'Kinds'):
        sample = model.test_step(as_batch(dataset[index]))[0]
        labels = sample.gt_sem_seg.data[0].cpu().byte()
        log_probs = log_probabilities(sample.seg_logits.data.cpu()[None])[0]
        predicted = sample.pred_sem_seg.data[0].cpu().byte()
        find = partial(_found, log_probs, predicted, labels != void, labels)
        plain.append(find(labels))
        for seed, errors in enumerate(spoiled):
            if index in errors:
                changed[seed][index] = find(torch.from_numpy(errors[index][1]))
    return plain, changed


def _found(
    log_probs: Tensor,
    predicted: Tensor,
    known: Tensor,
    before: Tensor,
    labels: Tensor,
) -> Found:
    part = least_believed(log_probs, labels.long(), predicted, known)
    region = part['region']
    maps = (each.numpy() for each in (labels, predicted, known))
    kind = partial(error_kind, region, part['pair'], *maps)
    put_in = (labels != before).numpy()[region].mean()
    return Found(float(part['score']), cache(kind), bool(put_in > 0.5))


def confusion(
    plain: list[Found], spoiled: list[dict], changed: list[dict[int, Found]]
) -> dict[str, dict[str, int]]:
    """Kind put in to how many of those listed have which name, all seeds."""
    counts = {kind: dict.fromkeys(NAMES, 0) for kind in (*KINDS, OTHERS)}
    for errors, seen in zip(spoiled, changed):
        rows = [seen.get(index, row) for index, row in enumerate(plain)]
        order = np.argsort([-row.score for row in rows], kind='stable')
        for index in order[:FIRST].tolist():
            row = rows[index]
            kind = errors[index][0] if row.on_error else OTHERS
            counts[kind][row.kind()] += 1
    return counts


def main() -> None:
    parser = parser_of_decisions(__doc__, 'label_error_kinds')
    parser.add_argument('--seeds', type=int, default=10)
    args = parser.parse_args()
    model = init_ddu(args.config, args.checkpoint)
    dataset = labelled_images(model, args.split)
    spoiled = spoil_dataset(dataset, args.seeds)
    plain, changed = look(model, dataset, spoiled)
    counts = confusion(plain, spoiled, changed)
    lines = [
        [kind, *(str(row[name]) for name in NAMES)]
        for kind, row in counts.items()
    ]
    print(markdown_table(['put in', *NAMES], lines))
    add_answer(args.json, {args.name: counts}, 'label_error_kinds')


if __name__ == '__main__':
    cli.run(main)
