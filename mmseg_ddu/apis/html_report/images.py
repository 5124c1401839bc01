"""Exported maps as the data of the page's browser of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from mmseg_ddu.apis.exporting import MANIFEST
from mmseg_ddu.visualization.maps import CMAPS, default_palette

from . import encode, levels
from .manifest import SCORES, read_manifest
from .truth import (
    OOD,
    VOID,
    TruthReader,
    error_map,
    error_share,
    no_truth,
    read_truth,
)

GREY, RED, PINK = (150, 150, 150), (230, 30, 30), (255, 0, 200)
ERROR_COLORS = ((255, 255, 255), RED, PINK, GREY)


@dataclass
class Export:
    """A folder that ``tools/export_uncertainty.py`` wrote.

    Attributes:
        name (str): What the page calls it.
        folder (Path): Where it is.
        manifest (dict): What it says.
        rows (dict[str, dict]): Path of the class map to the row.
    """

    name: str
    folder: Path
    manifest: dict
    rows: dict[str, dict]

    def score(self, key: str) -> float:
        """The image score by which the most unusual images are first."""
        row = self.rows[key]
        return row.get('unusual_share', row['epistemic_mean'])

    def load(self, key: str, what: str) -> np.ndarray | None:
        """A map (H, W) of an image, None if it was not exported."""
        file = self.rows[key]['files'].get(what)
        if file is None:
            return None
        if not (self.folder / file).is_file():
            raise FileNotFoundError(
                f'{self.folder / MANIFEST} names {file}, but it is not '
                'there; export the maps again.'
            )
        if file.endswith('.npy'):
            # Mapped, so that its header cannot ask for memory.
            values = np.load(self.folder / file, 'r', allow_pickle=False)
            row = self.rows[key]
            if values.shape != (row['height'], row['width']):
                raise ValueError(
                    f'{self.folder / file} is not of the size that '
                    f'{MANIFEST} says; export the maps again.'
                )
            return values
        with Image.open(self.folder / file) as opened:
            return np.asarray(opened)


def read_export(name: str, folder: Path) -> Export:
    """Read a manifest.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or lists no image.
    """
    manifest = read_manifest(folder)
    rows = {
        row['files']['class']: row
        for row in manifest['images']
        if 'files' in row
    }
    return Export(name, folder, manifest, rows)


def browser(
    folders: Mapping[str, Path],
    truth: TruthReader = no_truth,
    max_images: int = 60,
) -> dict:
    """What the page needs to show the images of one or more exports.

    Only images that every export holds are shown, the most unusual ones of
    the first export if they are too many.

    Args:
        folders (Mapping[str, Path]): Name of the method to its export.
        truth (TruthReader): Where the annotated classes come from.
        max_images (int): Most images in the page.

    Raises:
        ValueError: If the exports have no image in common, or not the same
            classes.
    """
    exports = [read_export(name, path) for name, path in folders.items()]
    first = exports[0]
    for other in exports[1:]:
        if other.manifest['classes'] != first.manifest['classes']:
            raise ValueError(
                f'{other.name} has other classes than {first.name}; make a '
                'report of each.'
            )
    common = [key for key in first.rows if all(key in e.rows for e in exports)]
    if not common:
        raise ValueError(
            'The exports have no image in common; export the same images '
            'with each method.'
        )
    ranked = sorted(common, key=first.score, reverse=True)
    chosen = ranked[: max(1, max_images)]
    images = [_image(first, key, truth) for key in chosen]
    methods = [
        _method(export, chosen, images)
        for export in track(exports, 'Embedding maps')
    ]
    for image in images:
        image.pop('labels')
    return dict(
        images=images,
        methods=methods,
        total=len(common),
        classes=first.manifest['classes'],
        palette=_palette(first),
        luts={name: encode.color_map(CMAPS[name]) for name in SCORES},
        error_colors=ERROR_COLORS,
        has_truth=any(image['truth'] for image in images),
    )


def _image(export: Export, key: str, truth: TruthReader) -> dict:
    """What all methods share; ``labels`` are for the errors."""
    row = export.rows[key]
    shape = row['height'], row['width']
    size = encode.target_size(*shape)
    path = Path(row['image'])
    if not path.is_file():
        raise FileNotFoundError(
            f'The image {path} is not there any more; put it back, or '
            'export the maps again.'
        )
    labels = read_truth(truth, path, shape)
    entry = dict(
        name=str(Path(key).relative_to('class').with_suffix('')),
        height=size[0],
        width=size[1],
        photo=encode.photo_uri(path, size),
        labels=labels,
        truth=None,
    )
    if labels is not None:
        small = encode.shrink_labels(labels, size)
        entry['truth'] = encode.labels_uri(small, _palette(export))
        entry['in_truth'] = np.unique(small).tolist()
    return entry


def _method(
    export: Export, keys: Sequence[str], images: Sequence[dict]
) -> dict:
    """The maps of a method and how to read their levels."""
    sizes = [(image['height'], image['width']) for image in images]
    scores, pictures = {}, {}
    for score in SCORES:
        maps = [
            encode.shrink_scores(export.load(key, score), size)
            for key, size in zip(keys, sizes)
        ]
        bounds = levels.level_bounds(maps)
        scores[score] = dict(
            unit=export.manifest['maps'][score]['unit'],
            values=levels.level_values(bounds),
            training=None,
        )
        pictures[score] = [
            encode.grey_uri(levels.to_levels(values, bounds))
            for values in maps
        ]
    scores['epistemic']['training'] = _training(export, keys, sizes)
    rows = []
    for index, key in enumerate(keys):
        row = _predicted(export, key, images[index])
        row.update({score: pictures[score][index] for score in SCORES})
        rows.append(row)
    return dict(name=export.name, scores=scores, images=rows)


def _training(export: Export, keys, sizes) -> list[float] | None:
    """The percentile among training pixels at each level.

    It grows with the score, so its own quantiles are those of the score.
    """
    maps = [export.load(key, 'percentile') for key in keys]
    if any(values is None for values in maps):
        return None
    small = [
        encode.shrink_scores(values, size) for values, size in zip(maps, sizes)
    ]
    return levels.level_values(levels.level_bounds(small))


def _predicted(export: Export, key: str, image: dict) -> dict:
    """The prediction of an image, its errors, and its scores."""
    size = image['height'], image['width']
    row = export.rows[key]
    classes = export.load(key, 'class')
    small = encode.shrink_labels(classes, size)
    result = dict(
        prediction=encode.labels_uri(small, _palette(export)),
        in_prediction=np.unique(small).tolist(),
        error=None,
        scores={
            name: row[name]
            for name in ('unusual_share', 'epistemic_mean', 'aleatoric_mean')
            if math.isfinite(row.get(name, math.nan))
        },
    )
    if image['labels'] is not None:
        errors = error_map(image['labels'], classes)
        result['error'] = encode.labels_uri(
            encode.shrink_labels(errors, size), ERROR_COLORS
        )
        share = error_share(errors)
        if share is not None:
            result['scores']['error_share'] = share
    return result


def _palette(export: Export) -> list[list[int]]:
    """256 colours: those of the classes, then void and strange."""
    colors = [list(c) for c in export.manifest.get('palette') or []]
    colors = (colors or default_palette())[:OOD]
    colors += [[0, 0, 0]] * (256 - len(colors))
    colors[OOD], colors[VOID] = list(PINK), list(GREY)
    return colors
