"""Exported maps as the data of the page's browser of images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from rich.progress import track

from mmseg_ddu.apis.exporting.exported_maps import ORDERS, Export
from mmseg_ddu.apis.exporting.one_image import REFUSED_SHARE
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE
from mmseg_ddu.visualization.heatmap import LOST_COLOR, lookup_table
from mmseg_ddu.visualization.prediction import (
    CMAPS,
    MAX_SURPRISE,
    RARITY,
    VOID_COLOR,
    color_table,
    default_palette,
)

from . import encode
from .ranking import rows_of
from .truth import (
    OOD,
    TruthReader,
    error_map,
    error_share,
    warn_unless_they_fit,
)

RED, PINK = (230, 30, 30), (255, 0, 200)
ERROR_COLORS = ((255, 255, 255), RED, PINK, VOID_COLOR)


def browser(
    folders: Mapping[str, Path],
    reader: TruthReader | None = None,
    max_images: int = 60,
    ranking: Mapping[str, dict] | None = None,
) -> dict:
    """What the page needs to show the images of one or more exports.

    Only images that every export holds are shown; the first ones of the
    ranking, or else the most unusual ones of the first export, if they are
    too many.

    Args:
        folders (Mapping[str, Path]): Name of the method to its export.
        reader (TruthReader, optional): Of the annotated classes.
        max_images (int): Most images in the page.
        ranking (Mapping[str, dict], optional): Of :func:`read_ranking`.

    Raises:
        ValueError: If the exports have no image in common, not the same
            classes, or no image of the ranking.
    """
    exports, common = _opened(folders)
    first = next(iter(exports.values()))
    classes = first.manifest['classes']
    listed = {} if ranking is None else _listed(ranking, first, common)
    chosen = sorted(
        common,
        key=lambda key: (
            listed[key]['rank'] if key in listed else math.inf,
            -first.score(key),
        ),
    )[:max_images]
    images = {
        key: dict(
            _image(key, first.rows[key], reader, len(classes)),
            listed=listed.get(key),
        )
        for key in chosen
    }
    methods = [
        dict(_method(exports[name], images), name=name)
        for name in track(list(exports), 'Embedding maps')
    ]
    labels = [image.pop('labels') for image in images.values()]
    has_truth = any(truth is not None for truth in labels)
    if reader and not has_truth:
        MMLogger.get_current_instance().warning(
            'None of the images has labels there, so the page shows none. '
            'They are found by the name of the image, masks with .png.'
        )
    return dict(
        images=list(images.values()),
        methods=methods,
        total=len(common),
        ranked=bool(listed),
        maps=MAPS,
        classes=classes,
        palette=_palette(first),
        luts={n: lookup_table(CMAPS[n]).tobytes().hex() for n in MAPS},
        rarity=dict(top=MAX_SURPRISE, ticks=RARITY),
        lost_color=LOST_COLOR,
        error_colors=ERROR_COLORS,
        has_truth=has_truth,
    )


def _opened(folders: Mapping[str, Path]) -> tuple[dict[str, Export], list]:
    """Exports, all with the same classes, and the images that all hold."""
    exports = {name: Export(path) for name, path in folders.items()}
    for export in exports.values():
        if not export.rows:
            raise ValueError(f'{export.path} lists no exported image.')
    (name, first), *others = exports.items()
    for other, export in others:
        if export.manifest['classes'] != first.manifest['classes']:
            raise ValueError(
                f'{other} has other classes than {name}; make a report of '
                'each.'
            )
    rows = [export.rows for export in exports.values()]
    common = [key for key in first.rows if all(key in row for row in rows)]
    if not common:
        raise ValueError(
            'The exports have no image in common; export the same images '
            'with each method.'
        )
    return exports, common


def _listed(
    ranking: Mapping[str, dict], export: Export, keys: Iterable[str]
) -> dict[str, dict]:
    """Of images in a ranking: the rows, with boxes as shares of the sides."""
    paths = {key: export.rows[key]['image'] for key in keys}
    found = rows_of(paths, ranking)
    if not found:
        raise ValueError(
            f'The ranking lists none of the images of {export.folder}; give '
            'that of these images.'
        )
    for key, row in found.items():
        sides = 2 * [export.rows[key]['width'], export.rows[key]['height']]
        box = row['box'] and [a / b for a, b in zip(row['box'], sides)]
        found[key] = dict(row, box=box)
    return found


def _image(
    key: str, row: dict, reader: TruthReader | None, classes: int
) -> dict:
    """What all methods share; ``labels`` are for the errors."""
    shape = row['height'], row['width']
    size = encode.target_size(*shape)
    path = Path(row['image'])
    if not path.is_file():
        raise FileNotFoundError(
            f'The image {path} is not there any more; put it back, or '
            'export the maps again.'
        )
    labels = reader(path) if reader else None
    entry = dict(
        name=str(Path(key).relative_to('class').with_suffix('')),
        height=size[0],
        width=size[1],
        photo=encode.photo_uri(path, size),
        labels=labels,
        truth=None,
    )
    if labels is not None:
        warn_unless_they_fit(labels, shape, classes, path)
        entry['labels'] = encode.shrink_labels(labels, shape)
        small = encode.shrink_labels(labels, size)
        entry['truth'] = encode.map_uri(small)
        entry['in_truth'] = np.unique(small).tolist()
    return entry


def _method(export: Export, images: Mapping[str, dict]) -> dict:
    """The maps of a method and how to read their levels."""
    rows = [_predicted(export, *item) for item in images.items()]
    scores = {}
    for name in MAPS:
        maps = [
            encode.shrink_scores(
                export.load(key, name), (image['height'], image['width'])
            )
            for key, image in images.items()
        ]
        bounds = encode.level_bounds(maps)
        for row, values in zip(rows, maps):
            row[name] = encode.map_uri(encode.to_levels(values, bounds))
        scale = export.manifest['maps'][name]
        scores[name] = dict(
            unit=scale['unit'],
            bounds=[scale['png_low'], scale['png_high']],
            values=bounds.tolist(),
            shares=[0.0, *encode.SHARES[:-1].tolist()],
            training=_training(export, images, name, bounds),
        )
    refused = export.share_of_pixels(REFUSED_SHARE)
    return dict(scores=scores, images=rows, refused=refused)


def _training(
    export: Export, keys: Iterable[str], name: str, bounds: np.ndarray
) -> list[float] | None:
    """The percentile among training pixels at the upper end of each level.

    It grows with the score, and is read off the exported pairs of both.
    """
    if name + PERCENTILE not in export.manifest['maps']:
        return None
    scores, shares = (
        np.sort(encode.thinned([export.load(key, what) for key in keys]))
        for what in (name, name + PERCENTILE)
    )
    return np.interp(bounds, scores, shares).tolist()


def _predicted(export: Export, key: str, image: dict) -> dict:
    """The prediction of an image, its errors, and its scores."""
    size = image['height'], image['width']
    row, classes = export.rows[key], export.load(key, 'class')
    small = encode.shrink_labels(classes, size)
    result = dict(
        prediction=encode.map_uri(small),
        in_prediction=np.unique(small).tolist(),
        error=None,
        scores={
            name: row[name]
            for name in (*ORDERS, NOVELTY + PERCENTILE)
            if math.isfinite(row.get(name, math.nan))
        },
    )
    if image['labels'] is not None:
        errors = error_map(image['labels'], classes)
        small = encode.shrink_labels(errors, size)
        result['error'] = encode.map_uri(small)
        share = error_share(errors)
        if share is not None:
            result['scores']['error_share'] = share
    return result


def _palette(export: Export) -> list[list[int]]:
    """256 colours: those of the classes, then void and strange."""
    known = export.manifest['palette'] or default_palette()
    colors = color_table(known[:OOD])
    colors[OOD] = PINK
    return colors.tolist()
