"""Every score on networks that nobody tuned on, and what they would choose.

`scores` fits every network with several seeds and judges every score on it.
`sample` asks whether pixels are found that could be of either of two classes,
on the drawn sample, with three members that are trained for it.
`components` asks whether unknown objects are found as objects.
`seeds` fits four times on 100 images each and says how far figures differ.
`ms` measures what a prediction with each score takes.
`defaults` asks what each network would choose of the settings that it was
not asked about; the rule is in `choose_defaults.py`. `calibration` asks which
images of a fit should calibrate (`choose_calibration.py`). `all` asks one
after the other. Each network (and seed) is one file in the folder of runs, so
an interrupted proof goes on where it was, and the same command, started a
second time beside the first, takes its share of the work. The answers stand
side by side in the file of results.

  python -m benchmarks.proof all --networks A --weights B --data C
  python -m benchmarks.proof scores --networks A --weights B --data C
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.proof.networks import NETWORKS
from benchmarks.proof.page import OF_SCORES, TABLES
from benchmarks.proof.questions import CHOICES, QUESTIONS, work_of
from benchmarks.proof.shared_work import share
from mmseg_ddu.apis import cli
from mmseg_ddu.fileio import write_json

ALL = 'all'


def merge(there: dict, found: dict) -> dict:
    """What is there with what was found; other questions' answers stay."""
    merged = dict(there)
    for key, value in found.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def main() -> None:
    parser = cli.parser(__doc__, 'python -m benchmarks.proof scores …')
    parser.add_argument('question', choices=[*QUESTIONS, ALL])
    folder = dict(type=Path, required=True)
    parser.add_argument('--networks', **folder, help='folder of configs')
    parser.add_argument('--weights', **folder, help='folder of checkpoints')
    parser.add_argument('--data', **folder, help='folder of data sets')
    parser.add_argument('--runs', type=Path, default=Path('proof_runs'))
    parser.add_argument('--only', nargs='+', choices=NETWORKS)
    parser.add_argument('--json', type=Path, default='results/proof.json')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    group = parser.add_argument_group('if not as the network says')
    group.add_argument('--images', type=int, help='judged as they are')
    group.add_argument('--fit-images', type=int, help='of a fit')
    group.add_argument('--shift-images', type=int, help='of each shift')
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    questions = [args.question]
    if args.question == ALL:
        questions = [q for q in QUESTIONS if q not in CHOICES or not args.only]
    parts = {
        question: QUESTIONS[question].parts(args) for question in questions
    }
    share(work_of(parts, args))
    for question, asked in parts.items():
        found = {key: part.answer() for key, part in asked.items()}
        answer = QUESTIONS[question].answer(found, args)
        for name in OF_SCORES if question == 'scores' else [question]:
            if name in TABLES:  # as the docs have it
                print(f'\n{name}\n\n{TABLES[name](answer)}')
        there = json.loads(args.json.read_text()) if args.json.exists() else {}
        write_json(args.json, merge(there, answer))


if __name__ == '__main__':
    cli.run(main)
