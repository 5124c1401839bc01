"""Which images to look at next, for one of three purposes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmseg_ddu.core.errors import require
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import require_writable_file, write_json

from .choice import choose, mean_features
from .exported_images import rank_exported
from .found_images import FoundImages
from .import_files import IMPORTS, possible_files
from .label_errors import rank_label_errors
from .ranked_image import RankedImage, write_csv

LABEL_ERRORS, REVIEW, LABELLING = 'label-errors', 'review', 'labelling'
PURPOSES = (LABEL_ERRORS, REVIEW, LABELLING)
# Of options; the others are for labelling.
FOR = dict(split=(LABEL_ERRORS,), score=(REVIEW, LABELLING))


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
    diverse: Sequence[str | os.PathLike] | None = None,
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
        temperature, seed: For labelling: how much chance there is in the
            choice; 0 is none.
        overlap (bool): For labelling: images unlike those of the training
            count less.
        diverse (Sequence, optional): For labelling: config and checkpoint of
            a network in whose features the images are to be far apart.
        device, cfg_options: As in :func:`init_ddu`, where a network is run.

    Returns:
        dict: The content of the JSON file: ``images`` in their order,
        ``left_out`` with reasons, ``files`` written.

    Raises:
        ValueError: If no image can be ranked, or the arguments do not fit.
    """
    out = Path(out)
    require(bool(sources), 'at least one export to rank', sources)
    require(budget >= 1, 'budget to be at least 1', budget)
    require(out.suffix == '.csv', 'out to end in .csv', str(out))
    finite = 0 <= temperature < math.inf
    require(finite, 'temperature of 0 or more', temperature)
    options = dict(overlap=overlap, diverse=diverse, split=split, score=score)
    _require_fitting(purpose, temperature=temperature, **options)
    writers = {name: IMPORTS.find(name) for name in dict.fromkeys(formats)}
    files = [out, out.with_suffix('.json')]
    where = {name: out.with_name(f'{out.stem}_{name}') for name in writers}
    for path in (*files, *chain(*map(possible_files, where.values()))):
        require_writable_file(path)
    places = out.with_name(f'{out.stem}_parts'), device, cfg_options
    if purpose == LABEL_ERRORS:
        found = rank_label_errors(sources, split or 'val', *places)
    else:
        found = rank_exported(sources, score or 'total', overlap)
    found.require_some()
    features = mean_features(found, *diverse, *places) if diverse else None
    chosen = _with_regions(found, budget, temperature, seed, features)
    _warn_of(chosen, overlap, bool(writers))
    write_csv(out, chosen)
    for name, write in writers.items():
        files += write(where[name], chosen, found.classes)
    report = dict(
        purpose=purpose,
        **found.source,
        classes=found.classes,
        ranked=len(found.images),
        images=[each.row(rank) for rank, each in enumerate(chosen, 1)],
        left_out=found.left_out,
        files=[str(file) for file in files],
    )
    write_json(files[1], report)
    return report


def _with_regions(
    found: FoundImages,
    budget: int,
    temperature: float,
    seed: int,
    features: np.ndarray | None,
) -> list[RankedImage]:
    """The chosen images; others for those whose maps cannot be read."""
    while True:
        images = found.images
        chosen = choose(images, budget, temperature, seed, features)
        there = [found.with_region(each) for each in chosen]
        if all(there):
            return list(filter(None, there))
        lost = {a.image for a, b in zip(chosen, there) if b is None}
        left = [n for n, each in enumerate(images) if each.image not in lost]
        found.images = [images[n] for n in left]
        found.require_some()
        features = None if features is None else features[left]


def _warn_of(
    chosen: Sequence[RankedImage], overlap: bool, imports: bool
) -> None:
    logger = MMLogger.get_current_instance()
    if not all(each.box for each in chosen):
        logger.warning(
            'Images without a box: their export has no maps. Export with '
            '--formats npy.'
        )
    refused = sum(each.refused_share > 0 for each in chosen)
    if imports and refused:
        logger.warning(
            f'Refused pixels of {refused} of {len(chosen)} listed images have '
            'no prediction to start from in the import files, since an '
            'export does not hold their classes. To have one everywhere, '
            'export with a checkpoint without thresholds.'
        )
    nothing = sum(not each.score for each in chosen)
    if overlap and nothing:
        logger.warning(
            f'{nothing} of {len(chosen)} listed images have a score of 0, as '
            '--overlap gives to what is stranger than all training images. '
            'Scores say nothing about their order: leave --overlap out if '
            'they are what you want to label, else drop them.'
        )


def _require_fitting(purpose: str, **options: object) -> None:
    """Raise ValueError if an option was given that is of other purposes."""
    require(purpose in PURPOSES, f'purpose of {PURPOSES}', purpose)
    for name, value in options.items():
        purposes = FOR.get(name, (LABELLING,))
        if value and purpose not in purposes:
            raise ValueError(
                f'Expected no {name} for {purpose}; it is for '
                f'{", ".join(purposes)}.'
            )
