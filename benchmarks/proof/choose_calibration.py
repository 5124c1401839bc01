"""What share of the images of a fit should calibrate the percentiles.

The rule, fixed before it was run: a network is fitted on 100 of its training
images, eight times, each time on others. A share of them calibrates: their
pixels are scored by the densities of the rest, and all of them give the final
densities. "Above the 95th percentile" is then asked of pixels of 100 training
images that the fit did not see: 5% of them should be. The figure of a share is
the root mean square of what is missing to 5% over the fits, for each map. The
share with the best worst rank over networks and maps is chosen; among equals
the one with the best mean rank, then the first of the list. No test image is
used. Scores are those of the cells of the feature map.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor, nn

from benchmarks.proof.choose_defaults import choose
from benchmarks.proof.networks import Network, files
from benchmarks.tables import markdown_table
from mmseg_ddu.core.sampling import pixels_of
from mmseg_ddu.core.scores import softmax_entropy
from mmseg_ddu.core.surprise import total_surprise
from mmseg_ddu.engine.build import build_ddu, read_config
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_dataset_config,
    seeded_order,
)
from mmseg_ddu.engine.labelled_windows import LabelledWindow, labelled_image
from mmseg_ddu.engine.labels import labels_on_grid
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.heads import classifying_head
from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.models.tapped_modules import LOGITS

SHARES = (0.1, 0.2, 0.3, 0.5)
FITS, FITTED, JUDGED = 8, 100, 100
OF_CLASS, CELLS = 128, 256  # vectors of an image: of a class, of all
LEVEL = 0.95


class Seen(NamedTuple):
    """What is kept of a training image.

    Attributes:
        vectors, classes (Tensor): (N, D) and (N,), for the densities.
        cells, entropies (Tensor): (M, D) and (M,), of any labelled cells.
    """

    vectors: Tensor
    classes: Tensor
    cells: Tensor
    entropies: Tensor


def judge_shares(network: Network, args) -> dict[str, dict[str, list[float]]]:
    """Share to map to "above the 95th percentile" of each fit."""
    config, weights = files(network, args.networks, args.weights, args.data)
    cfg = read_config(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    state = read_checkpoint(weights)['state_dict']
    model = build_ddu(to_ddu_model(cfg.model), state, str(weights))
    model.gda_head.prepare(classifying_head(model).conv_seg.weight)
    dataset = fitting_dataset(fitting_dataset_config(cfg))
    found: dict = {str(share): {name: [] for name in MAPS} for share in SHARES}
    chosen = seeded_order(len(dataset), 0)[: FITTED + 3 * JUDGED]
    images = [
        seen(model, dataset[index], index)
        for index in track(chosen, 'Training features')
    ]
    for fit in track(range(FITS), 'Fits'):
        order = [images[i] for i in seeded_order(len(images), fit)]
        for share in SHARES:
            above = above_95(model, order, round(share * FITTED))
            for name, value in above.items():
                found[str(share)][name].append(value)
    return found


@torch.no_grad()
def seen(model: nn.Module, item: dict, index: int) -> Seen:
    """What a fit and its calibration would take from an image."""
    head = model.gda_head
    windows = list(labelled_image(model, item).windows(model))
    vectors, classes = windows[0].vectors(head, OF_CLASS, 0, index)
    where = cells_of(windows[0], head.num_classes, index)
    feature, logits = (windows[0].features[k] for k in (head.tap, LOGITS))
    entropies = softmax_entropy(pixels_of(logits, where)[..., None])[:, 0, 0]
    cells = head.vectors(pixels_of(feature, where))
    return Seen(vectors, classes, cells, entropies)


def cells_of(window: LabelledWindow, classes: int, index: int) -> Tensor:
    """Numbers of some labelled cells of the feature map."""
    labels = labels_on_grid(window.labels, window.features[LOGITS].shape[2:])
    known = ((labels >= 0) & (labels < classes)).flatten().nonzero().flatten()
    generator = torch.Generator().manual_seed(index)
    return known[torch.randperm(len(known), generator=generator)[:CELLS]]


def above_95(
    model: nn.Module, order: list[Seen], held: int
) -> dict[str, float]:
    """Of the images behind the fitted ones, ``held`` of which calibrate."""
    head, maps = copy.deepcopy(model.gda_head), model.map_calibration
    fitted, judged = order[:FITTED], order[FITTED:][:JUDGED]
    fit(head, fitted[held:])
    cells, entropies = of_images(fitted[:held])
    scores = -head.density.score_samples(cells)
    head.surprise.fit(scores)
    maps.fit(entropies, head.surprise(scores))
    fit(head, fitted)
    cells, entropies = of_images(judged)
    surprise = head.surprise(-head.density.score_samples(cells))
    aleatoric = maps.aleatoric(entropies)
    total = maps.total(total_surprise(aleatoric, surprise))
    limit = -torch.tensor(1 - LEVEL).log()
    pairs = zip(MAPS, (aleatoric, surprise, total))
    return {name: float((s > limit).float().mean()) for name, s in pairs}


def fit(head: nn.Module, images: list[Seen]) -> None:
    """The density of some images."""
    moments = head.new_moments(torch.device('cpu'))
    for image in images:
        head.update(moments, image.vectors, image.classes)
    counts = moments.counts.unflatten(0, (head.num_classes, -1)).sum(1)
    head.density.fit_moments(moments, counts.long())


def of_images(images: list[Seen]) -> tuple[Tensor, Tensor]:
    """Their cells and entropies."""
    return (
        torch.cat([image.cells for image in images]),
        torch.cat([image.entropies for image in images]),
    )


def missing(found: dict[str, dict[str, list[float]]]) -> dict:
    """Share to the root mean square of what is missing, for each map."""
    target = 1 - LEVEL
    return {
        share: {
            name: float((torch.tensor(values) - target).square().mean().sqrt())
            for name, values in maps.items()
        }
        for share, maps in found.items()
    }


def chosen_share(networks: dict[str, dict]) -> str:
    """By the rule above."""
    return choose(
        {
            network: {
                share: [-value for value in maps.values()]
                for share, maps in missing(found).items()
            }
            for network, found in networks.items()
        }
    )


def share_table(networks: dict[str, dict]) -> str:
    """Mean share above the percentile, and what is missing."""
    lines = []
    for network, found in networks.items():
        rms = missing(found)
        for share, maps in found.items():
            row = [
                f'{torch.tensor(values).mean():.3f} ({rms[share][name]:.3f})'
                for name, values in maps.items()
            ]
            lines.append([network, share, *row])
    return markdown_table(['network', 'share', *MAPS], lines)
