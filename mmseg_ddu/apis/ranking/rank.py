"""Which images to look at next, for one of three purposes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg_ddu.core.errors import require
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import require_writable_folder, write_json

from .found_images import FoundImages
from .import_files import IMPORTS
from .label_errors import rank_label_errors
from .ranked_image import RankedImage, write_csv

LABEL_ERRORS = 'label-errors'
PURPOSES = (LABEL_ERRORS,)


@safe_loading()
def rank_images(
    *sources: str | os.PathLike,
    purpose: str,
    out: str | os.PathLike = 'ranking.csv',
    budget: int = 50,
    formats: Sequence[str] = (),
    split: str = 'val',
    device: str | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Rank images and list the first; see ``tools/rank_images.py --help``.

    Args:
        sources (str): For label errors the config and a ``*_gda.pth`` file.
        purpose (str): ``label-errors``.
        out (str): The list, a ``.csv`` file. ``.json`` and the import files
            are written beside it.
        budget (int): How many images to list.
        formats (Sequence[str]): Import files to write: ``cvat``,
            ``fiftyone``, ``labelstudio``.
        split (str): Whose labels to look at: ``train``, ``val``, ``test``.
        device, cfg_options: As in :func:`init_ddu`.

    Returns:
        dict: The content of the JSON file: ``images`` in their order,
        ``left_out`` with reasons, ``files`` written.

    Raises:
        ValueError: If no image can be ranked, or the arguments do not fit.
    """
    require(purpose in PURPOSES, f'purpose of {PURPOSES}', purpose)
    require(budget >= 1, 'budget to be at least 1', budget)
    out = Path(out)
    require(out.suffix == '.csv', 'out to end in .csv', str(out))
    writers = {name: IMPORTS.find(name) for name in dict.fromkeys(formats)}
    require_writable_folder(out.parent)
    if len(sources) != 2:
        raise ValueError(
            'To find label errors, give CONFIG and CHECKPOINT_gda.pth, but '
            f'got {len(sources)} arguments: the probabilities of all classes '
            'are needed, and exported maps do not hold them.'
        )
    parts = out.with_name(f'{out.stem}_parts')
    found = rank_label_errors(*sources, split, parts, device, cfg_options)
    found.require_some()
    order = sorted(found.images, key=lambda each: -each.score)
    chosen = within_budget(order, budget)
    write_csv(out, chosen)
    files = [out, out.with_suffix('.json')]
    for name, write in writers.items():
        where = out.with_name(f'{out.stem}_{name}')
        files += write(where, chosen, found.classes)
    report = _report(purpose, found, chosen, files)
    write_json(files[1], report)
    return report


def within_budget(
    order: Sequence[RankedImage], budget: int
) -> list[RankedImage]:
    """The first ones; a warning if there are not so many."""
    if budget > len(order):
        MMLogger.get_current_instance().warning(
            f'A budget of {budget} images was given, but there are only '
            f'{len(order)}: all are listed.'
        )
    return list(order[:budget])


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
