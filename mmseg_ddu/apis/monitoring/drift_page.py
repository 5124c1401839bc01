"""The page of control charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_ddu.models.map_names import NOVELTY

from .watched_images import UNUSUAL

SHOWN = 2000  # images in a chart
LEFT, RIGHT, TOP, BOTTOM = 50, 990, 10, 160
FLOOR = 1e-6  # of a detector, on its logarithmic scale


def drift_content(
    lines: Sequence[dict],
    settings: dict[str, Any],
    places: Mapping[str, int | None],
) -> dict[str, Any]:
    """What ``drift_charts.html`` is filled with.

    Args:
        lines (Sequence[dict]): Of the log.
        settings (dict): Of the state.
        places (Mapping[str, int]): ``key`` of a line to the place of its
            image in the page, to link to.
    """
    good = [line for line in lines if 'error' not in line]
    alarms, place_of = [], {}
    for line in good:
        place_of[line['name']] = places.get(line['key'])
        for alarm in line['alarms']:
            names = dict.fromkeys([line['name'], *alarm['images']])
            found = {name: place_of.get(name) for name in names}
            alarms.append((line['number'], found, alarm['words']))
    return dict(
        seen=len(lines),
        alarmed=sum(bool(line['alarms']) for line in lines),
        rate=settings['false_alarms'],
        reference=settings.get('reference'),
        weights=settings['fit']['weights_sha256'][:12],
        many=len(good) > SHOWN,
        shown=SHOWN,
        charts=_charts(good[-SHOWN:]),
        alarms=alarms[::-1],
        left_out=[(x['name'], x['error']) for x in lines if 'error' in x],
        lost=[
            (line['name'], f'{line["lost_share"]:.2%}')
            for line in good
            if line.get('lost_share')
        ],
    )


def _charts(lines: Sequence[dict]) -> list[dict[str, Any]]:
    if not lines:
        return []
    level = 'Detector: 1 is an alarm; logarithmic.'
    watched = NOVELTY, UNUSUAL  # beside the classes
    charts = [
        _chart(lines, name, [line['values'][name] for line in lines])
        for name in watched
    ]
    for name in watched:
        levels = [line['level'][name] for line in lines]
        charts.append(_chart(lines, f'Detector: {name}', levels, level))
    levels = [
        max((v for k, v in x['level'].items() if k not in watched), default=0)
        for x in lines
    ]
    note = f'{level} The highest of all classes.'
    return [*charts, _chart(lines, 'Detector: class mix', levels, note)]


def _chart(
    lines: Sequence[dict],
    title: str,
    values: Sequence[float],
    note: str = '',
) -> dict[str, Any]:
    """The coordinates of a chart; of a detector if it has a note."""
    shown = list(map(float, values))
    if note:
        shown = [math.log10(max(value, FLOOR)) for value in shown]
    finite = [value for value in shown if abs(value) < 1e29] or [0.0]
    low, high = min(finite), max(finite)
    if note:
        low, high = math.log10(FLOOR), max(high, 0.5)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        part = min(max((value - low) / span, 0), 1)
        return round(BOTTOM - part * (BOTTOM - TOP), 1)

    step = (RIGHT - LEFT) / max(1, len(lines) - 1)
    x = [round(LEFT + step * place, 1) for place in range(len(lines))]
    return dict(
        title=title,
        note=note or 'Each image; vertical lines are alarms.',
        points=' '.join(f'{a},{y(v)}' for a, v in zip(x, shown)),
        alarms=[a for a, line in zip(x, lines) if line['alarms']],
        limit=y(0.0) if note else None,
        low=f'{FLOOR:g}' if note else f'{low:.3g}',
        high=f'{10**high:.3g}' if note else f'{high:.3g}',
        first=lines[0]['name'],
        last=lines[-1]['name'],
    )
