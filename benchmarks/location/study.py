"""The paper's claim that one set of Gaussians serves all positions, checked.

Deep Deterministic Uncertainty for segmentation (arXiv 2111.00079) says that
features of one class at different places are alike, so that Gaussians need
not be fitted per position.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.core.metrics.ranking_counts import RankingCounts
from mmseg_ddu.engine.build import build_ddu, check_classes, read_config
from mmseg_ddu.engine.checkpoint import read_checkpoint, without_fit
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.fitting_data import (
    SeededSubset,
    fitting_dataset,
    fitting_dataset_config,
)
from mmseg_ddu.fileio import require_writable_folder, sha256
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.registry import DATASETS

from .density import HEAD, StudiedDensity
from .grid import GridMoments, cell_of
from .page import write_report
from .pairs import pair_similarities
from .pixels import UNSEEN, Pixels, PlaceCollector

GRIDS = (1, 2, 4, 8)
# Of the distance between two places, in shares of the image's sides.
EDGES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.5)


def location_study(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    grids: Sequence[int] = GRIDS,
    gda_head: dict | None = None,
    max_images: int | None = None,
    pixels_per_class: int = 512,
    pair_pixels: int = 1500,
    test_pixels: int = 500,
    seed: int = 0,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Similarity of features by place, and Gaussians per place.

    Two passes: over the training images (moments per cell of the finest grid;
    pixels for the pairs) and over the test images (pixels to score). Writes
    ``location_study.json``, ``.md`` and ``.png``.

    Args:
        config (str or Config): An mmseg config.
        checkpoint (str): Its trained weights; a fit in it is not used.
        out_dir (str): Folder to write into.
        grids (Sequence[int]): g of the g x g grids; each divides the
            largest.
        gda_head (dict, optional): Arguments of :class:`GDAHead`, on top of
            ``HEAD``; its first density is studied.
        max_images (int, optional): Most training and most test images.
        pixels_per_class (int): Most pixels per class and image for a fit.
        pair_pixels (int): Pixels per class for the pairs.
        test_pixels (int): Pixels per test image.
        seed (int): Of all choices.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        dict: What is in the JSON file.

    Raises:
        ValueError: If data and model do not belong together, a grid does not
            divide the largest, or nothing can be measured.
    """
    grids = sorted(set(grids))
    if grids[0] < 1 or any(grids[-1] % grid for grid in grids):
        raise ValueError(
            'Expected every grid to divide the largest, but got '
            f'{grids}; for example 1 2 4 8.'
        )
    out_dir = require_writable_folder(out_dir)
    cfg = read_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    head = {**HEAD, **(gda_head or {})}
    train = fitting_dataset(fitting_dataset_config(cfg))
    train = _limited(train, max_images, seed)
    test = DATASETS.build(copy.deepcopy(cfg.test_dataloader['dataset']))
    test = _limited(test, max_images, seed)
    model = _model(cfg, checkpoint, head, device, test.metainfo)
    classes = list(train.metainfo['classes'])

    collector = PlaceCollector(model, grids[-1], pixels_per_class, seed)
    pairs, numbers = collector.training(train, pair_pixels)
    sample = collector.test(test, test_pixels)
    report = dict(
        classes=classes,
        similarity=_similarities(pairs, numbers, len(classes)),
        grids=[
            _grid_row(collector, grid, sample)
            for grid in track(grids, 'Fitting and scoring per cell')
        ],
        memory=_memory(collector.density, collector.feature_map),
        images=dict(train=len(train), test=len(test)),
        test_pixels=len(sample.labels),
        head=head,
        **collector.density.description,
        seed=seed,
        config=Path(cfg.filename or 'config').name,
        checkpoint=Path(checkpoint).name,
        checkpoint_sha256=sha256(checkpoint),
        versions=versions(),
    )
    write_report(report, out_dir)
    return report


def _model(
    cfg: Config, checkpoint, head: dict, device, dataset_meta: dict
) -> nn.Module:
    content = read_checkpoint(checkpoint)
    weights = without_fit(content['state_dict'])
    model_cfg = to_ddu_model(cfg.model, head)
    model = build_ddu(model_cfg, weights, str(checkpoint), device)
    check_classes(model, dataset_meta, content['meta'].get('dataset_meta'))
    return model


def _limited(dataset, most: int | None, seed: int):
    dataset.full_init()
    if most is None or most >= len(dataset):
        return dataset
    return SeededSubset(dataset, most, seed)


def _similarities(
    pairs: Pixels, images: Tensor, num_classes: int
) -> dict[str, dict]:
    """Plain numbers for raw and for centred features."""
    result = {}
    for name, offset in (('raw', 0.0), ('centred', pairs.vectors.mean(0))):
        found = pair_similarities(
            pairs.vectors - offset,
            pairs.labels,
            pairs.positions,
            images,
            EDGES,
            num_classes,
        )
        result[name] = dict(
            edges=list(EDGES),
            counts=found.counts.tolist(),
            means=_rounded(found.means, 4),
            stds=_rounded(found.stds, 4),
            separability=_rounded(found.separability, 4),
        )
    return result


def _rounded(values: Tensor | float, digits: int):
    """Nested lists with None for NaN, which JSON does not know."""
    if isinstance(values, Tensor) and values.ndim:
        return [_rounded(value, digits) for value in values]
    number = float(values)
    return None if number != number else round(number, digits)


def _grid_row(collector: PlaceCollector, grid: int, sample: Pixels) -> dict:
    """Quality of a set of Gaussians per cell, by place and by a moved grid."""
    density = collector.density
    cells = collector.moments.coarsened(grid)
    counts = torch.stack([m.counts for m in cells.values()])
    quality, control = (
        _aurocs(_scores(density, moments, grid, places, sample), sample)
        for moments, places in (
            (collector.moments, sample.positions),
            (collector.moved_moments, sample.moved),
        )
    )
    return dict(
        grid=grid,
        **quality,
        control=control,
        megabytes=grid**2 * density.megabytes,
        empty_cells=grid**2 - len(cells),
        thin=float((counts <= density.num_features).double().mean()),
    )


def _scores(
    density: StudiedDensity,
    moments: GridMoments,
    grid: int,
    positions: Tensor,
    sample: Pixels,
) -> Tensor:
    """-log density of each vector under the Gaussians of its cell."""
    cells = moments.coarsened(grid)
    (everywhere,) = moments.coarsened(1).values()
    where = cell_of(positions, grid)
    scores = torch.empty(len(where))
    for cell in where.unique().tolist():
        inside = where == cell
        # Where training shows nothing the shared Gaussians stand in.
        scores[inside] = density.scores(
            cells.get(cell, everywhere), sample.vectors[inside]
        )
    return scores


def _aurocs(scores: Tensor, sample: Pixels) -> dict:
    """AUROC in percent of misclassified and of unseen pixels."""
    unseen = sample.labels >= UNSEEN
    wrong = sample.predicted != sample.labels
    misclassified, out_of_distribution = RankingCounts(), RankingCounts()
    misclassified.update(scores[~unseen], wrong[~unseen])
    out_of_distribution.update(scores, unseen)
    return dict(
        mis_AUROC=_rounded(100 * misclassified.auroc(), 2),
        ood_AUROC=_rounded(100 * out_of_distribution.auroc(), 2),
    )


def _memory(density: StudiedDensity, feature_map: tuple[int, int]) -> dict:
    """Megabytes of one set, and of one for each pixel of the feature map."""
    height, width = feature_map
    return dict(
        num_features=density.num_features,
        feature_map=[height, width],
        one_set_megabytes=density.megabytes,
        per_pixel_megabytes=density.megabytes * height * width,
    )
