"""What an alarm says, in numbers and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmseg_ddu.core.fine_structure import has_changed
from mmseg_ddu.models.map_names import NOVELTY

from .watched_images import UNUSUAL

MOST_NAMED = 5
CAUSES = {
    True: ' Their fine structure has changed: noise, blur or compression.',
    False: ' Their fine structure is as before: rather light or colours.',
    None: '',
}


def alarm_of(
    name: str, rose: bool, before: Sequence[dict], since: Sequence[dict]
) -> dict[str, Any]:
    """What changed, by how much, and since when, as the log has it.

    Args:
        name (str): Of the statistic.
        rose (bool): Whether it is higher than before, or lower.
        before, since (Sequence[dict]): The images before the change, the
            reference among them, and those since then.
    """
    earlier, now = (
        [image['values'][name] for image in part] for part in (before, since)
    )
    fine = ([x['fine'] for x in part if x['fine']] for part in (before, since))
    order = np.argsort(now, kind='stable')[:: -1 if rose else 1]
    alarm = dict(
        statistic=name,
        rose=rose,
        now=float(np.mean(now)),
        before=float(np.mean(earlier)) if earlier else None,
        since=since[0]['name'],
        fine_structure_changed=has_changed(*fine),
        images=[since[place]['name'] for place in order[:MOST_NAMED]],
    )
    return dict(alarm, words=_words(alarm, len(now)))


def _words(alarm: dict[str, Any], count: int) -> str:
    kind, rose = alarm['statistic'], alarm['rose']
    cause = ''
    if kind == NOVELTY:
        how = 'less' if rose else 'more'
        what = (
            f'The images as a whole look {how} like the training images '
            '(colours, contrast, noise, sharpness)'
        )
        number = '{:.3g} standard deviations'
        cause = CAUSES[alarm['fine_structure_changed']] if rose else ''
    else:
        pixels = 'unusual pixels' if kind == UNUSUAL else f'pixels of {kind}'
        what = f'{"More" if rose else "Fewer"} {pixels}'
        number = '{:.1%}'
    now = number.format(alarm['now'])
    usual = ''
    if alarm['before'] is not None:
        usual = f', {number.format(alarm["before"])} before'
    return (
        f'{what}: {now} on average in {count} images since '
        f'{alarm["since"]}{usual}.{cause} See {", ".join(alarm["images"])}.'
    )
