"""Do figures hinge on the images that a fit happens to see?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mmengine.registry import init_default_scope

from benchmarks.proof.figures import (
    error_figures,
    shift_figures,
    unknown_figures,
)
from benchmarks.proof.judged_pixels import (
    plain_and_moved,
    scoring,
    unknown_pixels,
)
from benchmarks.proof.networks import Network, files
from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.models.map_names import MAPS

FITS = 4
JUDGED = 0  # seed of the judged images and pixels, the same for every fit
SPREAD = 'spread'


def judge_seeds(network: Network, images: int, args) -> dict:
    """Map to the AUROCs of four fits of so many images, and their spread.

    Fits differ in their seed alone: the images they see, those held out of
    them to calibrate, and the pixels of each. The network and what is judged
    stay the same. The spread is the highest value minus the lowest.
    """
    config, weights = files(network, args.networks, args.weights, args.data)
    if network.members:
        raise ValueError('The members of an ensemble are other networks.')
    runs = []
    for seed in range(FITS):
        with tempfile.TemporaryDirectory() as folder:
            fitted = Path(folder, 'fitted.pth')
            fit_gda(config, weights, fitted, seed=seed, max_images=images)
            runs.append(_judged(init_ddu(config, fitted), network, args))
    return {
        name: {
            question: _with_spread([run[name][question] for run in runs])
            for question in runs[0][name]
        }
        for name in MAPS
    }


def _with_spread(values: list[float]) -> dict:
    return {'fits': values, SPREAD: max(values) - min(values)}


def _judged(model, network: Network, args) -> dict[str, dict[str, float]]:
    """Map to question to AUROC."""
    init_default_scope(model.cfg.get('default_scope', 'mmseg'))
    test = model.cfg.test_dataloader.dataset

    score = scoring(model, JUDGED)
    plain, moved = plain_and_moved(test, score, args)
    unknown = unknown_pixels(network, test, plain, score, args)
    return {
        name: dict(
            errors=error_figures(plain, name)['errors'],
            shifts=shift_figures(plain, moved, name)['shifts_mean'],
            **{
                key: unknown_figures(pixels, name, values)['auroc']
                for key, (pixels, values) in unknown.items()
            },
        )
        for name in MAPS
    }
