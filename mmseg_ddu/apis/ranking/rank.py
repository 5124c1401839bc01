"""Which images to look at next, for one of three purposes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmseg_ddu.core.errors import require
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import require_writable_folder, write_json

from .exported_images import rank_exported
from .found_images import FoundImages
from .import_files import IMPORTS
from .label_errors import rank_label_errors
from .ranked_image import RankedImage, write_csv

LABEL_ERRORS, REVIEW, LABELLING = 'label-errors', 'review', 'labelling'
PURPOSES = (LABEL_ERRORS, REVIEW, LABELLING)


@safe_loading()
def rank_images(
    *sources: str | os.PathLike,
    purpose: str,
    out: str | os.PathLike = 'ranking.csv',
    budget: int = 50,
    formats: Sequence[str] = (),
    split: str | None = None,
    score: str | None = None,
    temperature: float = 0.0,
    overlap: bool = False,
    seed: int = 0,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Rank images and list the first; see ``tools/rank_images.py --help``.

    Args:
        sources (str): For label errors the config and a ``*_gda.pth`` file,
            else exported maps.
        purpose (str): ``label-errors``, ``review`` or ``labelling``.
        out (str): The list, a ``.csv`` file. ``.json`` and the import files
            are written beside it.
        budget (int): How many images to list.
        formats (Sequence[str]): Import files to write: ``cvat``,
            ``fiftyone``, ``labelstudio``.
        split (str): Whose labels to look at: ``train``, ``val`` (default),
            ``test``.
        score (str): Of exported maps: ``total`` (default), ``entropy``,
            ``epistemic``.
        temperature, overlap, seed: For labelling: how much chance there is
            in the choice (0 is none), and whether images unlike those of the
            training count less.
        device, cfg_options: As in :func:`init_ddu`, for label errors.

    Returns:
        dict: The content of the JSON file: ``images`` in their order,
        ``left_out`` with reasons, ``files`` written.

    Raises:
        ValueError: If no image can be ranked, or the arguments do not fit.
    """
    out = Path(out)
    require(purpose in PURPOSES, f'purpose of {PURPOSES}', purpose)
    require(budget >= 1, 'budget to be at least 1', budget)
    require(out.suffix == '.csv', 'out to end in .csv', str(out))
    finite = 0 <= temperature < math.inf
    require(finite, 'temperature of 0 or more', temperature)
    if purpose != LABELLING:
        chance = dict(temperature=temperature, overlap=overlap)
        _require_of(LABELLING, purpose, **chance)
    writers = {name: IMPORTS.find(name) for name in dict.fromkeys(formats)}
    require_writable_folder(out.parent)
    if purpose == LABEL_ERRORS:
        _require_of(f'{REVIEW}, {LABELLING}', purpose, score=score)
        parts = out.with_name(f'{out.stem}_parts')
        given = split or 'val', parts, device, cfg_options
        found = rank_label_errors(sources, *given)
    else:
        _require_of(LABEL_ERRORS, purpose, split=split)
        found = rank_exported(sources, score or 'total', overlap)
    found.require_some()
    chosen = [
        each.with_region()
        for each in choose(found.images, budget, temperature, seed)
    ]
    if not all(each.box for each in chosen):
        MMLogger.get_current_instance().warning(
            'Images without a box: their export has no maps. Export with '
            '--formats npy.'
        )
    write_csv(out, chosen)
    files = [out, out.with_suffix('.json')]
    for name, write in writers.items():
        where = out.with_name(f'{out.stem}_{name}')
        files += write(where, chosen, found.classes)
    report = _report(purpose, found, chosen, files)
    write_json(files[1], report)
    return report


def _require_of(other: str, purpose: str, **options: object) -> None:
    """Raise ValueError if an option was given that is of other purposes."""
    for name, value in options.items():
        if value:
            raise ValueError(
                f'Expected no {name} for {purpose}; it is for {other}.'
            )


def choose(
    images: Sequence[RankedImage], budget: int, temperature: float, seed: int
) -> list[RankedImage]:
    """The images with the highest scores, or a draw that favours them.

    With a temperature T they are drawn without replacement, each with a
    probability in proportion to score ** (1 / T): the order of
    log(score) / T plus noise of a Gumbel distribution.
    """
    if budget > len(images):
        MMLogger.get_current_instance().warning(
            f'A budget of {budget} images was given, but there are only '
            f'{len(images)}: all are listed.'
        )
    keys = np.array([each.score for each in images], dtype=np.float64)
    if temperature:
        noise = np.random.default_rng(seed).gumbel(size=len(keys))
        keys = np.log(np.maximum(keys, 1e-300)) / temperature + noise
    order = np.argsort(-keys, kind='stable')[:budget]
    return [images[place] for place in order]


def _report(
    purpose: str,
    found: FoundImages,
    chosen: Sequence[RankedImage],
    files: Sequence[Path],
) -> dict:
    return dict(
        purpose=purpose,
        **found.source,
        classes=found.classes,
        ranked=len(found.images),
        images=[each.row(rank) for rank, each in enumerate(chosen, 1)],
        left_out=found.left_out,
        files=[str(file) for file in files],
    )
