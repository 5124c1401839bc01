"""How well each map ranks pixels, on any network and data.

Of the config's test images: wrong against right pixels, pixels of unknown
classes (values in the mask files) against the others, and pixels of the same
images under eleven shifts against those of the plain ones. AUROC over a
sample of pixels at full resolution. The row `constant per image` is the
image's novelty spread over its pixels: what a score that says nothing about
pixels reaches.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from rich.progress import track
from torch import Tensor

from benchmarks.proof.figures import SHIFT_KINDS, counts_of
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import cli, init_ddu
from mmseg_ddu.core.scores import energy
from mmseg_ddu.datasets.shifts import shifted
from mmseg_ddu.engine.fitting_data import as_batch, seeded_order
from mmseg_ddu.fileio import write_json
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.models.map_names import MAPS, NOVELTY
from mmseg_ddu.registry import DATASETS

PIXELS, SHIFTED_PIXELS = 2000, 800  # of an image
ROWS = (*MAPS, 'energy', 'constant per image', 'random')


class Pixels:
    """Scores of sampled pixels of some images.

    Attributes:
        scores (dict[str, Tensor]): Row to (N,).
        known, wrong, unknown (Tensor): (N,) bool.
    """

    def __init__(self, model, dataset, images, number, unknown) -> None:
        generator = torch.Generator().manual_seed(0)
        void = last_decode_head(model).ignore_index
        parts: dict[str, list[Tensor]] = {}
        for index in images:
            with torch.no_grad():
                sample = model.test_step(as_batch(dataset[index]))[0]
            label = sample.gt_sem_seg.data.flatten()
            where = torch.randint(len(label), (number,), generator=generator)
            logits = sample.seg_logits.data.flatten(1)[:, where]
            novelty = sample.metainfo[NOVELTY]
            found = {
                name: sample.get(f'pred_{name}').data.flatten()[where]
                for name in MAPS
            }
            found['energy'] = energy(logits[None])[0, 0]
            found['constant per image'] = torch.full((number,), novelty)
            found['random'] = torch.rand(number, generator=generator)
            predicted = sample.pred_sem_seg.data.flatten()[where]
            found['wrong'] = predicted != label[where]
            found['known'] = label[where] != void
            found['unknown'] = _mask(sample, where, unknown)
            for name, values in found.items():
                parts.setdefault(name, []).append(values)
        every = {name: torch.cat(values) for name, values in parts.items()}
        self.unknown = every.pop('unknown')
        self.known = every.pop('known') & ~self.unknown
        self.wrong = every.pop('wrong')
        self.scores = every


def _mask(sample, where: Tensor, unknown: list[int]) -> Tensor:
    if not unknown:
        return torch.zeros(len(where), dtype=torch.bool)
    with Image.open(sample.metainfo['seg_map_path']) as file:
        values = torch.from_numpy(np.array(file)).flatten()[where]
    return torch.isin(values, torch.tensor(unknown))


def measure(args) -> dict:
    """Row to errors, unknown, shifts and their mean."""
    model = init_ddu(args.config, args.checkpoint)
    init_default_scope(model.cfg.get('default_scope', 'mmseg'))
    config = model.cfg.test_dataloader.dataset

    def pixels(config: dict, images: int, number: int, unknown=()) -> Pixels:
        dataset = DATASETS.build(copy.deepcopy(config))
        dataset.full_init()
        order = seeded_order(len(dataset), args.seed)[:images]
        return Pixels(model, dataset, order, number, list(unknown))

    plain = pixels(config, args.images, PIXELS, args.unknown)
    ordinary = {row: plain.scores[row][plain.known] for row in ROWS}
    wrong = plain.wrong[plain.known]
    result: dict = {row: dict(shifts={}) for row in ROWS}
    for row, values in ordinary.items():
        result[row]['errors'] = counts_of(
            values[~wrong], values[wrong]
        ).auroc()
        if args.unknown:
            foreign = plain.scores[row][plain.unknown]
            result[row]['unknown'] = counts_of(values, foreign).auroc()
    for kind in track(SHIFT_KINDS, 'Shifts'):
        moved = pixels(
            shifted(config, kind), args.shift_images, SHIFTED_PIXELS
        )
        for row, values in ordinary.items():
            result[row]['shifts'][kind] = counts_of(
                values, moved.scores[row]
            ).auroc()
    for entry in result.values():
        shifts = entry['shifts'].values()
        entry['shifts_mean'] = sum(shifts) / len(shifts)
    shares = {
        name: float(
            (model.percentile(name, ordinary[name]) > 0.95).float().mean()
        )
        for name in MAPS
    }
    return dict(rows=result, above_95=shares)


def main() -> None:
    parser = cli.parser(
        __doc__, 'python -m benchmarks.maps CONFIG CHECKPOINT_gda.pth'
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--images', type=int, default=80, help='plain (80)')
    parser.add_argument(
        '--shift-images', type=int, default=12, help='for each shift (12)'
    )
    parser.add_argument(
        '--unknown', type=int, nargs='+', default=[], metavar='VALUE'
    )
    parser.add_argument('--seed', type=int, default=2, help='of images (2)')
    parser.add_argument('--json', help='file to write')
    args = parser.parse_args()
    result = measure(args)
    header = ['row', 'errors', 'unknown', 'shifts, mean', 'shifts, worst']
    rows = [
        [
            row,
            f'{entry["errors"]:.3f}',
            f'{entry["unknown"]:.3f}' if args.unknown else '',
            f'{entry["shifts_mean"]:.3f}',
            f'{min(entry["shifts"].values()):.3f}',
        ]
        for row, entry in result['rows'].items()
    ]
    print(markdown_table(header, rows))
    for name, share in result['above_95'].items():
        print(f'{name}: {share:.1%} of ordinary pixels above the 95th')
    if args.json:
        write_json(args.json, result)


if __name__ == '__main__':
    cli.run(main)
