"""Exported maps as the data of the page's browser of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE
from mmseg_ddu.visualization.heatmap import LOST_COLOR
from mmseg_ddu.visualization.prediction import (
    CMAPS,
    MAX_SURPRISE,
    RARITY,
    default_palette,
)

from . import encode, levels, truth
from .exported_maps import ORDERS, Export, read_export

GREY, RED, PINK = (150, 150, 150), (230, 30, 30), (255, 0, 200)
ERROR_COLORS = ((255, 255, 255), RED, PINK, GREY)


def browser(
    folders: Mapping[str, Path],
    reader: truth.TruthReader = truth.no_truth,
    max_images: int = 60,
) -> dict:
    """What the page needs to show the images of one or more exports.

    Only images that every export holds are shown, the most unusual ones of
    the first export if they are too many.

    Args:
        folders (Mapping[str, Path]): Name of the method to its export.
        reader (TruthReader): Where the annotated classes come from.
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
    images = [_image(first, key, reader) for key in chosen]
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
        maps=MAPS,
        classes=first.manifest['classes'],
        palette=_palette(first),
        luts={name: encode.color_map(CMAPS[name]) for name in MAPS},
        rarity=dict(top=MAX_SURPRISE, ticks=RARITY),
        lost_color=LOST_COLOR,
        error_colors=ERROR_COLORS,
        has_truth=any(image['truth'] for image in images),
    )


def _image(export: Export, key: str, reader: truth.TruthReader) -> dict:
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
    labels = truth.read_truth(reader, path, shape)
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
    rows = [_predicted(export, key, im) for key, im in zip(keys, images)]
    scores = {}
    for name in MAPS:
        maps = [
            levels.shrink_scores(
                export.load(key, name), (image['height'], image['width'])
            )
            for key, image in zip(keys, images)
        ]
        bounds = levels.level_bounds(maps)
        for row, values in zip(rows, maps):
            row[name] = encode.grey_uri(levels.to_levels(values, bounds))
        scale = export.manifest['maps'][name]
        scores[name] = dict(
            unit=scale['unit'],
            bounds=[scale['png_low'], scale['png_high']],
            values=levels.rounded(bounds),
            shares=levels.rounded(np.append(0, levels.SHARES[:-1])),
            training=_training(export, keys, name, bounds),
        )
    return dict(name=export.name, scores=scores, images=rows)


def _training(
    export: Export, keys: Sequence[str], name: str, bounds: np.ndarray
) -> list[float] | None:
    """The percentile among training pixels at the upper end of each level.

    It grows with the score, and is read off the exported pairs of both.
    """
    if name + PERCENTILE not in export.manifest['maps']:
        return None
    scores = levels.thinned([export.load(key, name) for key in keys])
    shares = levels.thinned(
        [export.load(key, name + PERCENTILE) for key in keys]
    )
    scores, shares = np.sort(scores), np.sort(shares)
    return levels.rounded(np.interp(bounds, scores, shares))


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
            for name in (*ORDERS, NOVELTY + PERCENTILE)
            if math.isfinite(row.get(name, math.nan))
        },
    )
    if image['labels'] is not None:
        errors = truth.error_map(image['labels'], classes)
        result['error'] = encode.labels_uri(
            encode.shrink_labels(errors, size), ERROR_COLORS
        )
        share = truth.error_share(errors)
        if share is not None:
            result['scores']['error_share'] = share
    return result


def _palette(export: Export) -> list[list[int]]:
    """256 colours: those of the classes, then void and strange."""
    colors = [list(color) for color in export.manifest['palette']]
    colors = (colors or default_palette())[: truth.OOD]
    colors += [[0, 0, 0]] * (256 - len(colors))
    colors[truth.OOD], colors[truth.VOID] = list(PINK), list(GREY)
    return colors
