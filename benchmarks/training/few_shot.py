"""A class more from 1, 5, 10 or 25 images: what it gains, and what it costs.

The network (DeepLab-v3+, half-trained on five classes of VOC animals) has
never seen a horse or a sheep. Each is added from images of the training list
of which one pixel in a hundred or more is of the class, chosen by the seed;
fewer are the first of more. Judged on the validation images: IoU of the new
class, and mean IoU of the five old ones on their own pixels, which can only
lose; and of all six.

  python -m benchmarks.training.few_shot --networks A --weights B --data C
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import torch
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.proof.figures import mean_and_std
from benchmarks.proof.networks import NETWORKS, files
from benchmarks.proof.pixel_scores import mask_values
from benchmarks.tables import markdown_table
from benchmarks.training.trainings import add_places
from mmseg_ddu.apis import add_class, cli, fit_gda, init_ddu
from mmseg_ddu.engine.fitting_data import as_batch, seeded_order
from mmseg_ddu.fileio import write_json
from mmseg_ddu.models.gda_head import GDAHead
from mmseg_ddu.models.uncertainty_maps import restored
from mmseg_ddu.registry import DATASETS

NETWORK = 'deeplabv3plus_mnv2_voc5_long'
CLASSES = dict(horse=13, sheep=17)  # values in the masks
SHOTS = (1, 5, 10, 25)
LEAST = 0.01  # of the pixels of an image


class Case(NamedTuple):
    """What a head has learned, and from what."""

    name: str
    shots: int
    seed: int


def images_of(folder: Path, value: int, number: int, seed: int) -> list:
    """A seeded choice of training images that show a class.

    Returns:
        list[tuple[str, np.ndarray]]: Path, and (H, W) bool mask.
    """
    (names,) = folder.rglob('train_aug.txt')
    stems = names.read_text().split()
    found = []
    for index in seeded_order(len(stems), seed):
        file = folder / 'SegmentationClassAug' / f'{stems[index]}.png'
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) == value
        if mask.mean() >= LEAST:
            image = folder / 'JPEGImages' / f'{stems[index]}.jpg'
            found.append((str(image), mask))
        if len(found) == number:
            break
    return found


def grown_heads(model: nn.Module, folder: Path, seeds) -> dict[Case, GDAHead]:
    """The density with each class, from each number of images."""
    heads = {}
    for name, value in CLASSES.items():
        for seed in seeds:
            some = images_of(folder, value, max(SHOTS), seed)
            for shots in SHOTS:
                grown = copy.deepcopy(model)
                add_class(grown, *map(list, zip(*some[:shots])), name)
                heads[Case(name, shots, seed)] = grown.gda_head
    return heads


def predictions(
    model: nn.Module, item: dict, heads: Mapping[Case, GDAHead]
) -> tuple[Tensor, dict[Case | None, Tensor], Tensor]:
    """Of one image: labels, classes by head (None: without), mask values."""
    with model.tap() as tap:
        sample = model.test_step(as_batch(item))[0]
        feature = tap[model.gda_head.tap]
    plain = sample.pred_sem_seg.data[None]
    found: dict[Case | None, Tensor] = {None: plain[0, 0]}
    meta, align = sample.metainfo, model.align_corners
    for case, head in heads.items():
        margins = F.interpolate(
            head.margins(feature),
            tuple(meta['img_shape'][:2]),
            mode='bilinear',
            align_corners=align,
        )
        margins = restored(margins, meta, align)
        found[case] = head.with_added(plain, margins)[0, 0]
    labels = sample.gt_sem_seg.data[0]
    return labels, found, mask_values(sample, labels.shape)


class Confusion:
    """Pixels by label and prediction, (C + 1, C + 1); the new one is last.

    Args:
        classes (int): C.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = torch.zeros(classes + 1, classes + 1)

    def update(self, labels: Tensor, new: Tensor, predicted: Tensor) -> None:
        """Labels and predictions (H, W), and where the new class is."""
        labels = labels.where(~new, self.classes).long()
        known = labels <= self.classes
        number = self.classes + 1
        cells = number * labels[known] + predicted[known].long()
        counts = cells.bincount(minlength=number**2)
        self.counts += counts.view(number, number)

    def figures(self) -> dict[str, float]:
        """IoU in percent: of the new class, the old ones, and all."""
        every = _ious(self.counts)
        own = _ious(self.counts[:-1])[:-1]
        return dict(
            new=float(every[-1]),
            old=float(own.mean()),
            all=float(every.mean()),
        )


def _ious(counts: Tensor) -> Tensor:
    """Of each class, from pixels by label (some) and prediction (all)."""
    square = F.pad(counts, (0, 0, 0, counts.shape[1] - counts.shape[0]))
    hits = square.diag()
    union = square.sum(0) + square.sum(1) - hits
    return 100 * hits / union.clamp_min(1)


@torch.no_grad()
def judge(model: nn.Module, heads: dict, number: int | None) -> dict:
    """Class to number of images to figures, means of the seeds."""
    config = copy.deepcopy(model.cfg.test_dataloader.dataset)
    dataset = DATASETS.build(config)
    dataset.full_init()
    classes = model.num_classes
    counts = {case: Confusion(classes) for case in heads}
    before = {name: Confusion(classes) for name in CLASSES}
    for index in track(seeded_order(len(dataset), 0)[:number], 'Judging'):
        labels, found, values = predictions(model, dataset[index], heads)
        for name, value in CLASSES.items():
            before[name].update(labels, values == value, found[None])
        for case, confusion in counts.items():
            new = values == CLASSES[case.name]
            confusion.update(labels, new, found[case])
    result: dict = {}
    for name in CLASSES:
        plain = before[name].figures()
        result[name] = dict(before=plain)
        for shots in SHOTS:
            runs = [
                confusion.figures()
                for case, confusion in counts.items()
                if (case.name, case.shots) == (name, shots)
            ]
            result[name][str(shots)] = mean_and_std(runs)
    return result


def table(result: dict) -> str:
    """A row for each class and number of images."""
    rows = [
        [
            name,
            shots,
            *(
                f'{entry[key]:.1f} ± {entry.get(f"{key}_std", 0):.1f}'
                for key in ('new', 'old', 'all')
            ),
        ]
        for name, entries in result.items()
        for shots, entry in entries.items()
    ]
    header = ['class', 'images', 'IoU new', 'mIoU old', 'mIoU all']
    return markdown_table(header, rows)


def main() -> None:
    program = 'python -m benchmarks.training.few_shot'
    parser = cli.parser(__doc__, f'{program} …')
    add_places(parser)
    add = parser.add_argument
    add('--seeds', type=int, nargs='+', default=[0, 1, 2])
    add('--fit-images', type=int, default=400)
    add('--images', type=int, help='that are judged; all by default')
    add('--json', type=Path, default=Path('results/few_shot.json'))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    network = NETWORKS[NETWORK]
    config, weights = files(network, args.networks, args.weights, args.data)
    fitted = args.runs / f'{NETWORK}_gda.pth'
    if not fitted.exists():
        fit_gda(config, weights, fitted, max_images=args.fit_images)
    model = init_ddu(config, fitted)
    init_default_scope(model.cfg.get('default_scope', 'mmseg'))
    heads = grown_heads(model, args.data / 'voc_animals', args.seeds)
    result = judge(model, heads, args.images)
    print(table(result))
    set_up = {k: getattr(args, k) for k in ('seeds', 'fit_images', 'images')}
    write_json(args.json, {NETWORK: result, 'set_up': set_up})


if __name__ == '__main__':
    cli.run(main)
