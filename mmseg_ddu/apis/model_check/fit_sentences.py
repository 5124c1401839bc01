"""What the Gaussians of a card advise: more images, or a mixture."""

from __future__ import annotations

from collections.abc import Mapping

# Of a class, before “fit on more” is said: what a few images hold is chance.
ENOUGH_VECTORS, ENOUGH_IMAGES = 200, 5
# Squared distance against that in training: three times is a wider class.
WIDER = 3.0
# exp(.5): each unseen vector would be 1.6 times as probable.
GAIN = 0.5
NAMED = 5  # classes in a sentence


def gaussians(card: Mapping) -> list[str]:
    """What is wrong with the fit of single classes."""
    fit, lines = card['fit'], []
    rows = fit['classes']
    few = [
        f'{name} ({row["vectors_fitted"]} vectors)'
        for name, row in rows.items()
        if row['few']
    ]
    if few:
        lines.append(
            f'The fit, of {fit["images_fitted"]} images, saw little of '
            f'{named(few)}: fit on more images of them.'
        )
    wider = [
        f'{name} ({row["vectors_held_out"]} vectors of '
        f'{row["images_held_out"]} images)'
        for name, row in rows.items()
        if (row['distance'] or 0) > WIDER
        and row['vectors_held_out'] >= ENOUGH_VECTORS
        and row['images_held_out'] >= ENOUGH_IMAGES
    ]
    if wider:
        lines.append(
            f'Held-out pixels of {named(wider)} lie over {WIDER:.0f} times '
            'as far out (squared) as those of the fit: its images do not '
            'show how they vary, so fit on more.'
        )
    return lines


def several(card: Mapping) -> list[str]:
    """Whether a mixture is suggested."""
    fit = card['fit']
    gain = fit['several_gain']
    if gain is None or fit['components'] > 1:
        return []
    text = (
        f'Four Gaussians a class would make held-out pixels '
        f'{"more" if gain > 0 else "less"} probable, by {abs(gain):.2f} nats '
        f'on average ({fit["classes_gaining"]} of '
        f'{fit["classes_compared"]} classes gain)'
    )
    if gain <= GAIN:
        return [f'{text}: one is enough.']
    return [
        f'{text}. That need not make a map better: fit again with '
        '--gda-options components=4, run this on both, and keep the one whose '
        'errors and pasted patches have higher figures.'
    ]


def named(names: list[str]) -> str:
    """The first few, and how many more."""
    rest = len(names) - NAMED
    text = ', '.join(names[:NAMED])
    return f'{text} and {rest} more' if rest > 0 else text
