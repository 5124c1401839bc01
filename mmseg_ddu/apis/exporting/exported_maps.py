"""A folder of exported maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

from mmseg_ddu.apis.json_form import has_form, is_index, is_number, is_text
from mmseg_ddu.engine.ranks import reason
from mmseg_ddu.fileio import read_json
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE

from .journal import MANIFEST
from .one_image import REFUSED_SHARE

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
        name (str): Of the method.
        folder (Path): With a manifest, which is checked.
        all_may_fail (bool): Whether it may list nothing but images that
            could not be exported.

    Attributes:
        manifest (dict): All of it.
        rows (dict[str, dict]): Path of the class map to the row.

    Raises:
        FileNotFoundError: If there is no manifest.
        ValueError: If it is damaged, lists no image, or names files outside
            its folder, by links too.
    """

    def __init__(
        self, name: str, folder: Path, all_may_fail: bool = False
    ) -> None:
        self.name, self.folder, self.path = name, folder, folder / MANIFEST
        if not self.path.is_file():
            raise FileNotFoundError(
                f'There is no {self.path}; run tools/export_uncertainty.py '
                'first.'
            )
        damaged = f'{self.path} is damaged; export the maps again.'
        self.manifest = read_json(self.path, _is_sound, damaged)
        rows = [row for row in self.manifest['images'] if 'files' in row]
        if not (rows or (all_may_fail and self.manifest['images'])):
            raise ValueError(f'{self.path} lists no exported image.')
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


def _is_sound(manifest: dict) -> bool:
    """Whether there is all that a report reads, of its type."""
    scales = manifest['maps']
    scale = dict(unit=is_text, png_low=is_number, png_high=is_number)
    form = dict(
        classes=[is_text],
        palette=[lambda c: has_form(c, [is_index]) and len(bytes(c)) == 3],
        maps=dict.fromkeys({*MAPS, *scales}, scale),
        images=[_is_sound_row],
    )
    return has_form(manifest, form)


def _is_sound_row(row: dict) -> bool:
    """The same of an image; one that was left out is not looked at."""
    if 'files' not in row:
        return isinstance(row, dict)
    files, sides = row['files'], (row['height'], row['width'])
    scores = {*ORDERS, NOVELTY + PERCENTILE} & set(row)
    scores |= {f'{name}_mean' for name in MAPS}
    form: dict = dict(
        dict.fromkeys(scores, is_number),
        image=is_text,
        height=is_index,
        width=is_index,
        files=dict.fromkeys({'class', *files}, is_text),
    )
    return (
        has_form(row, form)
        and Path(files['class']).parts[0] == 'class'
        and 1 <= min(sides) <= max(sides) <= MAX_SIDE
    )
