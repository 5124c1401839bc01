"""What defaults a network would choose that it was not asked about.

The rule, fixed before it was run: every network but one is fitted on 70% of
its training images and judged on others of them, with a changed piece of
another image pasted into each (nothing of the shift suite is used). Each
value of a setting is ranked by two questions: pasted pixels above the others
(AUROC of the density), and wrong above right pixels (AUROC of the total with
that density). The value with the best worst rank over the networks and
questions is chosen; among equals the one with the best mean rank, then the
first of the list. The rule of the total is chosen in the same way, on both
questions with the total itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from benchmarks.proof.figures import counts_of
from benchmarks.proof.networks import Network, files
from benchmarks.tables import markdown_table
from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.core.surprise import ORDINARY, total_surprise
from mmseg_ddu.datasets.pasted_patches import paste
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.fitting_data import (
    as_batch,
    fitting_dataset,
    fitting_dataset_config,
    seeded_order,
)
from mmseg_ddu.models.heads import last_decode_head

PIXELS = 2000
SHARE, MOST_FITTED = 0.7, 230  # of the training images
JUDGED = 60  # of the others
LOG_20 = math.log(20)

DEFAULTS: dict[str, object] = dict(shrinkage=0.05, components=1, stride=2)
SETTINGS: dict[str, tuple] = dict(
    shrinkage=(0.0, 0.01, 0.05, 0.1, 0.2),
    components=(1, 4),
    stride=(2, 1),
)
TOTALS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    's_a + max(0, s_e - log 10)': total_surprise,
    's_a': lambda a, e: a,
    's_a + s_e': lambda a, e: a + e,
    's_a + s_e / 2': lambda a, e: a + e / 2,
    'max(s_a, s_e)': torch.maximum,
    's_a + max(0, s_e - log 20)': lambda a, e: a + (e - LOG_20).clamp_min(0),
    'max(s_a, s_e - log 10)': lambda a, e: torch.maximum(a, e - ORDINARY),
}


def candidates() -> dict[str, dict]:
    """Name of a head to its options: one setting differs from the default."""
    return {
        head_name(setting, value): {**DEFAULTS, setting: value}
        for setting, values in SETTINGS.items()
        for value in values
        if value != DEFAULTS[setting]
    }


def head_name(setting: str, value: object) -> str:
    """Of the head with that value, if it is not the default."""
    return f'{setting}_{value}'.replace('.', '')


def map_name(setting: str, value: object) -> str:
    """Of the map with that value."""
    default = value == DEFAULTS[setting]
    return 'epistemic' + ('' if default else f'_{head_name(setting, value)}')


@torch.no_grad()
def judge(model, dataset, images: list[int], seed: int) -> dict:
    """Surprises of sampled pixels, and which are pasted, wrong, void."""
    generator = torch.Generator().manual_seed(seed)
    void = last_decode_head(model).ignore_index
    parts: dict[str, list[Tensor]] = {}
    others = images[1:] + images[:1]
    for image, other in track(list(zip(images, others)), 'Judging'):
        item, donor = dataset[image], dataset[other]
        item['inputs'], mask = paste(
            item['inputs'], donor['inputs'], generator
        )
        # Labels of a fit are those of the resized image.
        size = item['data_samples'].gt_sem_seg.shape
        item['data_samples'].set_metainfo(dict(ori_shape=tuple(size)))
        sample = model.test_step(as_batch(item))[0]
        label = sample.gt_sem_seg.data
        mask = F.interpolate(mask[None, None].float(), label.shape[1:])
        where = torch.randint(label.numel(), (PIXELS,), generator=generator)
        found = {
            name: head.surprise(sample.get(f'pred_{name}').data)
            for name, head in model.heads.items()
        }
        entropy = sample.pred_aleatoric.data
        found['aleatoric'] = model.map_calibration.aleatoric(entropy)
        found['pasted'] = mask > 0
        found['wrong'] = sample.pred_sem_seg.data != label
        found['void'] = label == void
        for name, values in found.items():
            parts.setdefault(name, []).append(values.flatten()[where])
    return {name: torch.cat(values) for name, values in parts.items()}


def answers(pixels: Mapping[str, Tensor]) -> dict:
    """Setting to value to the figures of both questions."""
    pasted = pixels['pasted']
    counted = ~pasted & ~pixels['void']
    wrong = pixels['wrong'] & counted
    right = ~pixels['wrong'] & counted

    def both(found: Tensor, total: Tensor) -> list[float]:
        return [
            counts_of(found[counted], found[pasted]).auroc(),
            counts_of(total[right], total[wrong]).auroc(),
        ]

    entropy = pixels['aleatoric']
    result: dict = {}
    for setting, values in SETTINGS.items():
        result[setting] = {}
        for value in values:
            density = pixels[map_name(setting, value)]
            total = total_surprise(entropy, density)
            result[setting][str(value)] = both(density, total)
    result['total'] = {}
    for rule, function in TOTALS.items():
        total = function(entropy, pixels['epistemic'])
        result['total'][rule] = both(total, total)
    return result


def choose(networks: Mapping[str, Mapping[str, list[float]]]) -> str:
    """The value with the best worst rank, then mean rank.

    Args:
        networks (Mapping): Network to value to its figures, more is better.
    """
    values = list(next(iter(networks.values())))
    ranks: dict[str, list[int]] = {value: [] for value in values}
    for figures in networks.values():
        for question in zip(*figures.values()):
            for value, figure in zip(values, question):
                above = sum(other > figure for other in question)
                ranks[value].append(above + 1)
    return min(values, key=lambda v: (max(ranks[v]), sum(ranks[v])))


def leave_one_out(answers_of: Mapping[str, Mapping]) -> dict:
    """Setting to the choice with each network left out, and with none."""
    found: dict = {}
    for setting in next(iter(answers_of.values())):
        every = {name: a[setting] for name, a in answers_of.items()}
        found[setting] = {
            name: choose({k: v for k, v in every.items() if k != name})
            for name in every
            if len(every) > 1
        }
        found[setting]['none'] = choose(every)
    return found


def judge_settings(network: Network, name: str, args) -> dict:
    """Fit one network with every candidate, and judge it."""
    config, weights = files(network, args.networks, args.weights, args.data)
    fitted = args.runs / f'{name}_choice_gda.pth'
    cfg = read_config(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = fitting_dataset(fitting_dataset_config(cfg))
    size = min(int(SHARE * len(dataset)), MOST_FITTED)
    if not fitted.exists():
        options = dict(extra_heads=candidates(), max_images=size, seed=0)
        fit_gda(config, weights, fitted, **options)
    rest = seeded_order(len(dataset), 0)[size:][:JUDGED]
    model = init_ddu(config, fitted)
    return answers(judge(model, dataset, rest, seed=0))


def choice_table(chosen: Mapping[str, Mapping[str, str]]) -> str:
    """Setting to what is chosen with each network left out."""
    left_out = list(next(iter(chosen.values())))
    lines = [[name, *values.values()] for name, values in chosen.items()]
    return markdown_table(['left out', *left_out], lines)
