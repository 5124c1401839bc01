"""Which images of a fit should calibrate the percentiles, and how many.

The rule, fixed before it was run: a network is fitted on 100 of its training
images, eight times, each time on others. A share of them calibrates: their
pixels are scored by the densities of the rest. The final densities are those
of all images (the share *joins*), or those of the rest (it stays *apart*).
Then pixels of 100 training images that the fit did not see are looked at:

  for each map, how far the pixels "above the 95th percentile" are from 5%:
  the root mean square over the fits;
  the mean log-likelihood of the final densities.

The way with the best worst rank over networks and these four questions is
chosen; among equals the one with the best mean rank, then the first of the
list. No test image is used. Scores are those of the cells of the feature map.
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

JOINS, APART = 'joins', 'stays apart'
WAYS = {  # name to share, and whether it joins
    f'{share:g} {way}': (share, way == JOINS)
    for way in (JOINS, APART)
    for share in (0.05, 0.1, 0.2, 0.3)
}
LIKELIHOOD = 'log-likelihood'
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


def judge_ways(network: Network, args) -> dict[str, dict[str, list[float]]]:
    """Way to map to "above the 95th percentile", and the likelihood."""
    config, weights = files(network, args.networks, args.weights, args.data)
    cfg = read_config(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    state = read_checkpoint(weights)['state_dict']
    model = build_ddu(to_ddu_model(cfg.model), state, str(weights))
    model.gda_head.prepare(classifying_head(model).conv_seg.weight)
    dataset = fitting_dataset(fitting_dataset_config(cfg))
    names = (*MAPS, LIKELIHOOD)
    found: dict = {way: {name: [] for name in names} for way in WAYS}
    chosen = seeded_order(len(dataset), 0)[: FITTED + 3 * JUDGED]
    images = [
        seen(model, dataset[index], index)
        for index in track(chosen, 'Training features')
    ]
    for seed in track(range(FITS), 'Fits'):
        order = [images[i] for i in seeded_order(len(images), seed)]
        for way, (share, joins) in WAYS.items():
            judged = judge(model, order, round(share * FITTED), joins)
            for name, value in judged.items():
                found[way][name].append(value)
    return found


@torch.no_grad()
def seen(model: nn.Module, item: dict, index: int) -> Seen:
    """What a fit and its calibration would take from an image."""
    head = model.gda_head
    (window,) = labelled_image(model, item).windows(model)  # whole images
    vectors, classes = window.vectors(head, OF_CLASS, 0, index)
    where = cells_of(window, head.num_classes, index)
    feature, logits = (window.features[key] for key in (head.tap, LOGITS))
    entropies = softmax_entropy(pixels_of(logits, where)[..., None])[:, 0, 0]
    cells = head.vectors(pixels_of(feature, where))
    return Seen(vectors, classes, cells, entropies)


def cells_of(window: LabelledWindow, classes: int, index: int) -> Tensor:
    """Numbers of some labelled cells of the feature map."""
    labels = labels_on_grid(window.labels, window.features[LOGITS].shape[2:])
    known = ((labels >= 0) & (labels < classes)).flatten().nonzero().flatten()
    generator = torch.Generator().manual_seed(index)
    return known[torch.randperm(len(known), generator=generator)[:CELLS]]


def judge(
    model: nn.Module, order: list[Seen], held: int, joins: bool
) -> dict[str, float]:
    """Of the images behind the fitted ones, ``held`` of which calibrate."""
    head, maps = copy.deepcopy(model.gda_head), model.map_calibration
    fitted, judged = order[:FITTED], order[FITTED:][:JUDGED]
    fit(head, fitted[held:])
    cells, entropies = of_images(fitted[:held])
    scores = -head.density.score_samples(cells)
    head.surprise.fit(scores)
    maps.fit(entropies, head.surprise(scores))
    if joins:
        fit(head, fitted)
    cells, entropies = of_images(judged)
    scores = -head.density.score_samples(cells)
    surprise, aleatoric = head.surprise(scores), maps.aleatoric(entropies)
    total = maps.total(total_surprise(aleatoric, surprise))
    limit = -torch.tensor(1 - LEVEL).log()
    found = dict(zip(MAPS, (aleatoric, surprise, total)))
    above = {k: float((s > limit).float().mean()) for k, s in found.items()}
    return {**above, LIKELIHOOD: -float(scores.mean())}


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


def figures(found: dict[str, list[float]]) -> dict[str, float]:
    """Question to figure, higher is better."""
    values = {name: torch.tensor(runs) for name, runs in found.items()}
    missing = {
        name: -float((values[name] - (1 - LEVEL)).square().mean().sqrt())
        for name in MAPS
    }
    return {**missing, LIKELIHOOD: float(values[LIKELIHOOD].mean())}


def chosen_way(networks: dict[str, dict]) -> str:
    """By the rule above."""
    return choose(
        {
            network: {
                way: list(figures(runs).values())
                for way, runs in found.items()
            }
            for network, found in networks.items()
        }
    )


def way_table(networks: dict[str, dict]) -> str:
    """Mean share above the percentile and what is missing; likelihood."""
    lines = []
    for network, found in networks.items():
        for way, runs in found.items():
            row = figures(runs)
            shares = [
                f'{torch.tensor(runs[name]).mean():.3f} ({-row[name]:.3f})'
                for name in MAPS
            ]
            lines.append([network, way, *shares, f'{row[LIKELIHOOD]:.2f}'])
    return markdown_table(['network', 'share', *MAPS, LIKELIHOOD], lines)
