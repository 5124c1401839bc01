"""The figures of a card in sentences, and what they advise."""

from __future__ import annotations

from collections.abc import Mapping

from mmseg_ddu.evaluation.verdict import auroc
from mmseg_ddu.models.map_names import MAPS

# By AUROC, each with a reason that holds for any network: at .80 four of
# five pairs are in the right order, so most of what is on top is right; below
# .65 two of three are, which nobody would see in a map; in between it helps
# on the average of many pixels. None was fitted to any network.
SEES, SOMEWHAT = 0.80, 0.65
# Two percentage points of accuracy would be seen in a table of results.
MISCALIBRATED = 0.02
# Nearly twice the 5% of pixels that the percentile promises.
MANY_FLAGS = 0.09
# Of a class, before “fit on more” is said: what a few images hold is chance.
ENOUGH_VECTORS, ENOUGH_IMAGES = 200, 5
# Flags that one of five times hang on the mode are no property of the image.
UNSTABLE = 0.2
# Squared distance against that in training: three times is a wider class.
WIDER = 3.0
NAMED = 5  # classes in a sentence

Value = Mapping[str, float | None]


def word(value: float) -> str:
    """``sees``, ``sees somewhat`` or ``does not see``."""
    if value >= SEES:
        return 'sees'
    return 'sees somewhat' if value >= SOMEWHAT else 'does not see'


def sentences(card: Mapping) -> list[str]:
    """What the figures of a card say, the most useful first."""
    lines = _trained_on(card)
    lines += [_refuse(card), _epistemic(card), _whole_images(card)]
    lines += _calibration(card) + _flags(card) + gaussians(card)
    lines += _modes(card) + _gaps(card)
    return lines


def doubt(value: Value, images: int) -> str:
    """A figure with its interval and number of images."""
    found = value['value']
    if found is None:
        return 'unknown'
    text = auroc(100 * found)
    if value['low'] is None or value['high'] is None:
        return f'{text}, {images} images: too few for a range'
    low, high = auroc(100 * value['low']), auroc(100 * value['high'])
    return f'{text}, {low} to {high} over {images} images'


def share(value: Value) -> str:
    """A percentage with its interval."""
    found = value['value']
    if found is None:
        return 'unknown'
    if value['low'] is None or value['high'] is None:
        return f'{found:.1%}'
    return f'{found:.1%} ({value["low"]:.1%} to {value["high"]:.1%})'


def _trained_on(card: Mapping) -> list[str]:
    number = card['trained_on']
    if not number:
        return []
    return [
        f'Warning: {number} of these {card["errors"]["images"]} images were '
        'trained on, where the network errs less than on new images: what '
        'follows is too good. Choose others.'
    ]


def _refuse(card: Mapping) -> str:
    errors = card['errors']
    rows = errors['rows']
    known = {m: rows[m]['auroc']['value'] for m in MAPS}
    known = {name: value for name, value in known.items() if value is not None}
    if not known:
        return 'Errors cannot be judged: no sampled pixel is wrong.'
    best = max(known, key=known.__getitem__)
    row = rows[best]
    figure = doubt(row['auroc'], errors['images'])
    end = (
        f'refusing its most uncertain 10% of pixels takes the error from '
        f'{errors["error"]:.1%} to {share(row["refused"])}'
    )
    if known[best] < SOMEWHAT:
        return f'No map finds errors: the best, {best}, has {figure}; {end}.'
    seen = f'{word(known[best])} errors ({figure})'
    return f'To refuse pixels use {best}: it {seen}; {end}.'


def _epistemic(card: Mapping) -> str:
    shifts, pasted = card['shifts'], card['pasted']
    shift = shifts['mean']['epistemic']
    patch = pasted['auroc']['epistemic']
    if shift['value'] is None or patch['value'] is None:
        return 'Shifts cannot be judged: there is no pixel to compare with.'
    kinds = {
        kind: entry['auroc']['epistemic']['value']
        for kind, entry in shifts['kinds'].items()
        if entry['auroc']['epistemic']['value'] is not None
    }
    blind = [kind for kind, value in kinds.items() if value < SOMEWHAT]
    text = (
        f'The epistemic map {word(shift["value"])} changed images: camera, '
        f'noise, blur and the like ({doubt(shift, shifts["images"])}'
    )
    if blind:
        text += f'; not {", ".join(blind)}'.replace('_', ' ')
    text += (
        f'), and {word(patch["value"])} patches that look like nothing '
        f'trained ({doubt(patch, pasted["images"])}).'
    )
    entropy = shifts['mean']['aleatoric']['value']
    if entropy is not None and entropy >= shift['value']:
        text += (
            f' Entropy alone does as well on shifts ({auroc(100 * entropy)}).'
        )
    return text + (
        ' Real unknown objects, above all ones that look like a known class, '
        'are harder than pasted patches, and nothing here measures them.'
    )


def _whole_images(card: Mapping) -> str:
    shifts = card['shifts']
    value = shifts['mean_by_novelty']
    return (
        f'By image_novelty a whole image that was changed stands out with '
        f'{auroc(100 * value)} ({shifts["images"]} images of each kind): '
        + (
            'sort images by it.'
            if value >= SEES
            else 'do not rely on it alone.'
        )
    )


def _calibration(card: Mapping) -> list[str]:
    errors = card['errors']
    ece, over = errors['ece'], errors['overconfidence']
    if ece['value'] is None:
        return []
    side = 'too sure' if over > 0 else 'too unsure'
    text = (
        f'The softmax is off by {share(ece)} on average (ECE), mostly {side}'
    )
    if ece['low'] is None or ece['low'] < MISCALIBRATED:
        return [f'{text}; that is small, or in doubt: leave it.']
    if card['temperature']:
        return [
            f'{text}, although a temperature was fitted: the images of the '
            'fit differ from these.'
        ]
    return [f'{text}: fit again with --temperature.']


def _flags(card: Mapping) -> list[str]:
    many = {n: v for n, v in card['above_95'].items() if v > MANY_FLAGS}
    if not many:
        return []
    named = ', '.join(f'{name} {value:.0%}' for name, value in many.items())
    return [
        f'“Above the 95th percentile” should flag 5% of ordinary pixels, but '
        f'flags more here ({named}): set thresholds on your own images.'
    ]


def gaussians(card: Mapping) -> list[str]:
    """What is wrong with the fit of single classes."""
    fit, lines = card['fit'], []
    rows = fit['classes']
    few = [name for name, row in rows.items() if row['few']]
    if few:
        told = _named(
            [
                f'{name} ({rows[name]["vectors_fitted"]} vectors)'
                for name in few
            ]
        )
        lines.append(
            f'The fit, of {fit["images_fitted"]} images, saw little of '
            f'{told}: fit on more images of them.'
        )
    wider = {
        name: row
        for name, row in rows.items()
        if (row['distance'] or 0) > WIDER
        and row['vectors_held_out'] >= ENOUGH_VECTORS
        and row['images_held_out'] >= ENOUGH_IMAGES
    }
    if wider:
        told = _named(
            [
                f'{name} ({row["vectors_held_out"]} vectors of '
                f'{row["images_held_out"]} images)'
                for name, row in wider.items()
            ]
        )
        lines.append(
            f'Held-out pixels of {told} lie over {WIDER:.0f} times as far '
            'out (squared) as those of the fit: its images do not show how '
            'they vary, so fit on more.'
        )
    return lines


def _modes(card: Mapping) -> list[str]:
    modes = card['modes']
    if not modes['images'] or modes['flips'] is None:
        return []
    text = (
        f'Between whole images and sliding windows the epistemic map keeps '
        f'its order by {auroc(100 * modes["correlation"])} (rank '
        f'correlation, {modes["images"]} images), and {modes["flips"]:.0%} '
        'of its flags are lost'
    )
    if modes['flips'] > UNSTABLE:
        text += ': always predict in the mode of the fit'
    return [f'{text}.']


def _gaps(card: Mapping) -> list[str]:
    unseen = card['never_seen']
    if not unseen:
        return []
    return [f'Nothing here is about {_named(unseen)}: not in these images.']


def _named(names: list[str]) -> str:
    rest = len(names) - NAMED
    text = ', '.join(names[:NAMED])
    return f'{text} and {rest} more' if rest > 0 else text
