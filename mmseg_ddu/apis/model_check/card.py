"""The page of a card: ``card.html`` and ``card.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg_ddu.apis.page_templates import TEMPLATES, write_page
from mmseg_ddu.fileio import write_json
from mmseg_ddu.models.map_names import MAPS

from .image_parts import EVERY_ROW, ROWS
from .over_images import LEAST_IMAGES

PAGE, DATA = 'card.html', 'card.json'
SIZE = 220  # of a diagram, in units of its own
COLORS = dict(aleatoric='#d9822b', epistemic='#1f5fbf', total='#2a8a4a')


def write_card(folder: Path, card: dict) -> None:
    """Write both files; the page needs no other file and no network."""
    write_json(folder / DATA, card)
    TEMPLATES.filters.update(auroc=_auroc, percent=_percent)
    risks = {name: card['errors']['rows'][name] for name in MAPS}
    highest = max([0.01, *(max(r['risk'] or [0]) for r in risks.values())])
    write_page(
        folder / PAGE,
        'card.html',
        card=card,
        least=LEAST_IMAGES,
        rows=ROWS,
        every_row=EVERY_ROW,
        colors=COLORS,
        highest=highest,
        size=SIZE,
        bars=_bars(card['errors']['reliability']),
        risks={
            name: points(row['coverage'], row['risk'], highest)
            for name, row in risks.items()
        },
    )


def points(x: Sequence[float], y: Sequence[float], highest: float) -> str:
    """A curve over [0, 1] as the points of an SVG polyline."""
    return ' '.join(
        f'{SIZE * a:.1f},{SIZE * (1 - b / highest):.1f}' for a, b in zip(x, y)
    )


def _bars(reliability: dict) -> list[dict[str, float]]:
    """Bars of the reliability diagram: accuracy, darker with more pixels."""
    accuracy, share = reliability['accuracy'], reliability['share']
    width = SIZE / len(accuracy)
    return [
        dict(
            x=round(number * width, 1),
            y=round(SIZE * (1 - right), 1),
            width=round(width - 1, 1),
            height=round(SIZE * right, 1),
            opacity=round(0.25 + 0.75 * part**0.5, 2),
        )
        for number, (right, part) in enumerate(zip(accuracy, share))
        if right is not None
    ]


def _auroc(value: float | None) -> str:
    return '–' if value is None else f'{value:.2f}'.removeprefix('0')


def _percent(value: float | None) -> str:
    return '–' if value is None else f'{value:.1%}'
