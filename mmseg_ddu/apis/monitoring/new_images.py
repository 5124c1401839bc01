"""Which images of a stream were not taken in yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

# Numbers of the log have four digits; a pixel that another processor puts
# into another class moves a share by less.
RELATIVE, ABSOLUTE = 2e-3, 1e-4


def new_images(
    images: Sequence[dict], lines: Sequence[dict], ordinary: set[str]
) -> list[dict]:
    """Those behind all that were taken in before.

    An image that was left out before may have its numbers now, at its place
    among the others. Images without numbers have no order.

    Args:
        images (Sequence[dict]): Of the stream.
        lines (Sequence[dict]): Of the log.
        ordinary (set[str]): Keys of the reference.

    Raises:
        ValueError: If an image is in the reference too, comes twice, has
            other numbers than it had, or is older than a new one.
    """
    places = {line['key']: n for n, line in enumerate(lines)}
    ranked = defaultdict(list)
    for line in lines:
        if 'error' not in line:
            ranked[line['name']].append(line)
    good: dict[str, dict] = {}
    for image in images:
        if 'error' in image:
            continue
        name, key = image['name'], image['key']
        if key in ordinary:
            raise ValueError(
                f'{name} is also in the reference. Give a reference of other '
                'images than those of the stream.'
            )
        if key in good:
            raise ValueError(
                f'{name} comes twice with the same numbers, in '
                f'{good[key]["source"]} and in {image["source"]}: an export '
                'was given twice, or a camera stands still. Give each export '
                'once, and export again without images of a camera that '
                'stands still.'
            )
        good[key] = image
        if key not in places:
            _require_unlike(image, ranked[name])
            ranked[name].append(image)
    _require_order(good.values(), lines, places)
    once = {image['key']: image for image in images}
    return [once[key] for key in once if key not in places]


def _require_order(
    good: Iterable[dict], lines: Sequence[dict], places: dict[str, int]
) -> None:
    """Raise if new ones are before old ones; a name that failed may be."""
    failed = {line['name'] for line in lines if 'error' in line}
    newer: list[dict] = []
    last = -1
    for image in good:
        if image['name'] in failed:
            continue
        place = places.get(image['key'])
        if place is None:
            newer.append(image)
            continue
        for other in newer:
            for line in lines[last + 1 : place]:
                if line['name'] == other['name'] and 'error' not in line:
                    _refuse_changed(
                        other,
                        line,
                        'or if it is another image of the same name, give it '
                        'behind all others',
                    )
        if newer or place <= last:
            raise ValueError(
                f'The stream goes back in time: {image["name"]} of '
                f'{image["source"]} was taken in already, with the same '
                'numbers, and comes again behind newer images. Give '
                'manifests in their order, each once, and new images in a '
                'manifest of their own behind the others; if a camera stands '
                'still, export again without its images.'
            )
        last = place


def _require_unlike(image: dict, ranked: Sequence[dict]) -> None:
    """Raise if it is one of the images of its name, exported again."""
    now = [*image['values'].values(), *image['fine']]
    for line in ranked:
        then = [*(line['values'][x] for x in image['values']), *line['fine']]
        # Of either without the fine structure, the values decide.
        if all(
            abs(a - b) <= RELATIVE * abs(b) + ABSOLUTE
            for a, b in zip(now, then)
        ):
            _refuse_changed(
                image,
                line,
                'or if a camera stands still, export again without its images',
            )


def _refuse_changed(image: dict, line: dict, otherwise: str) -> None:
    now = dict(image['values'], fine_structure=image['fine'])
    then = dict(line['values'], fine_structure=line['fine'])
    changes = [
        f'{name} was {then[name]} and is {value}'
        for name, value in now.items()
        if value != then[name]
    ]
    raise ValueError(
        f'{image["name"]} of {image["source"]} has changed since it was taken '
        f'in: {", ".join(changes)}. No image is ranked twice: give the export '
        f'of then, or begin another state; {otherwise}.'
    )
