"""An alarm in words."""

from __future__ import annotations

from typing import Any

from mmseg_ddu.models.map_names import NOVELTY

from .watched_images import UNUSUAL

CAUSES = {
    True: ' Their fine structure has changed: noise, blur or compression.',
    False: ' Their fine structure is as before: rather light or colours.',
    None: '',
}


def say(alarm: dict[str, Any], count: int) -> str:
    """What changed, by how much, and since when.

    Args:
        alarm (dict): With ``statistic``, ``rose``, ``now``, ``before``,
            ``since``, ``fine_structure_changed`` and ``images``.
        count (int): Images since then.
    """
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
