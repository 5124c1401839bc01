"""A folder of exported maps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

from mmseg_ddu.apis.json_form import has_form, is_index, is_number, is_text
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.fileio import read_json
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE, STATISTICS

from .journal import MANIFEST
from .one_image import CLASS_PIXELS, REFUSED_SHARE, are_counts

# By which images are sorted, from the most telling on.
ORDERS = (
    'unusual_share',
    NOVELTY,
    REFUSED_SHARE,
    'total_mean',
    'epistemic_mean',
    'aleatoric_mean',
)
MAX_SIDE = 1 << 16


class Export:
    """A folder that ``tools/export_uncertainty.py`` wrote, or anybody.

    Args:
        path (Path): The folder, or the manifest in it, which is checked.

    Attributes:
        manifest (dict): All of it.
        rows (dict[str, dict]): Path of the class map to the row.

    Raises:
        FileNotFoundError: If there is no manifest.
        ValueError: If it is damaged, lists no image, or names files outside
            its folder, by links too.
    """

    def __init__(self, path: Path) -> None:
        folder = path.parent if path.name == MANIFEST else path
        self.folder, self.path = folder, folder / MANIFEST
        if not self.path.is_file():
            raise FileNotFoundError(
                f'There is no {self.path}; run tools/export_uncertainty.py '
                'first.'
            )
        damaged = f'{self.path} is damaged; export the maps again.'
        self.manifest = read_json(
            self.path, lambda value: has_form(value, FORM), damaged
        )
        if not self.manifest['images']:
            raise ValueError(f'{self.path} lists no exported image.')
        rows = [row for row in self.manifest['images'] if 'files' in row]
        if self.manifest.get('complete') is False:
            MMLogger.get_current_instance().warning(
                f'{self.path} is of an export that was stopped, so it lacks '
                'images; go on with it (--resume) to have them all.'
            )
        root = folder.resolve()
        for file in (file for row in rows for file in row['files'].values()):
            if not (folder / file).resolve().is_relative_to(root):
                raise ValueError(
                    f'{self.path} names {file}, outside its folder.'
                )
        self.rows = {row['files']['class']: row for row in rows}

    def score(self, key: str) -> float:
        """The image score by which the most unusual images are first."""
        row = self.rows[key]
        return next(row[order] for order in ORDERS if order in row)

    def share_of_pixels(self, name: str) -> float | None:
        """A share over the pixels of all images; None if one lacks it."""
        rows = self.rows.values()
        if not all(name in row for row in rows):
            return None
        pixels = [row['height'] * row['width'] for row in rows]
        return float(np.average([row[name] for row in rows], weights=pixels))

    def require_fitted(self, row: dict, names: Iterable[str]) -> None:
        """Raise ValueError if a row lacks what fitted densities give it."""
        missing = [name for name in names if name not in row]
        if missing:
            raise ValueError(
                f'{self.path} lacks {", ".join(missing)}: it is of a model '
                'without fitted densities, or of an earlier version. Export '
                'again, with a *_gda.pth of tools/fit_gda.py.'
            )

    def load(self, key: str, what: str) -> np.ndarray:
        """The classes or a map of an image, (H, W)."""
        row = self.rows[key]
        file = row['files'].get(what)
        if file is None:
            raise ValueError(
                f'{self.folder} holds no {what} of {key}; export with '
                '--formats npy.'
            )
        path = self.folder / file
        if not path.is_file():
            raise FileNotFoundError(
                f'{self.path} names {file}, but it is not there; export the '
                'maps again.'
            )
        try:
            if path.suffix == '.npy':
                # Mapped, so that its header cannot ask for memory.
                values = np.load(path, 'r', allow_pickle=False)
            else:
                with Image.open(path) as opened:
                    values = np.asarray(opened)
        except Exception as error:  # whatever a decoder raises
            raise ValueError(
                f'{path} is damaged ({reason(error)}); export the maps again.'
            ) from error
        if values.shape != (row['height'], row['width']):
            raise ValueError(
                f'{path} is not of the size that {MANIFEST} says; export the '
                'maps again.'
            )
        return values


def _is_row(row: Any) -> bool:
    """Of one that was left out nothing else is looked at."""
    if 'files' not in row:
        return isinstance(row, dict)
    known = {key: form for key, form in GIVEN.items() if key in row}
    return (
        has_form(row, {**NEEDED, **known})
        and has_form(list(row['files'].values()), [is_text])
        and Path(row['files']['class']).parts[0] == 'class'
    )


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_SIDE


def _is_color(value: Any) -> bool:
    return has_form(value, [is_index]) and len(bytes(value)) == 3


def _are_scales(value: Any) -> bool:
    scale = dict(unit=is_text, png_low=is_number, png_high=is_number)
    return has_form(value, dict.fromkeys({*MAPS, *value}, scale))


# All that is read of a manifest; what GIVEN names may be absent.
NEEDED = dict(
    image=is_text,
    height=_is_side,
    width=_is_side,
    **{f'{name}_mean': is_number for name in MAPS},
)
NUMBERS = *ORDERS, NOVELTY + PERCENTILE, f'epistemic{PERCENTILE}_mean'
GIVEN = {
    **dict.fromkeys((*NUMBERS, 'lost_share'), is_number),
    'name': is_text,
    CLASS_PIXELS: are_counts,
    STATISTICS: [is_number],
}
FORM = dict(
    classes=[is_text], palette=[_is_color], maps=_are_scales, images=[_is_row]
)
