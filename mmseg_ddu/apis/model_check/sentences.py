"""The figures of a card in sentences, and what they advise."""

from __future__ import annotations

from collections.abc import Mapping

from mmseg_ddu.evaluation.verdict import auroc
from mmseg_ddu.models.map_names import MAPS

from .fit_sentences import gaussians, named, several
from .over_images import Value
from .strangeness_figures import PREFIX_OF_FAINT

# By AUROC, each with a reason that holds for any network: at .80 four of
# five pairs are in the right order, so most of what is on top is right; below
# .65 two of three are, which nobody would see in a map; in between it helps
# on the average of many pixels. None was fitted to any network.
SEES, SOMEWHAT = 0.80, 0.65
# Two percentage points of accuracy would be seen in a table of results.
MISCALIBRATED = 0.02
# Nearly twice the 5% of pixels that the percentile promises.
MANY_FLAGS = 0.09
# Flags that may hang on the mode one of five times are no property of images.
UNSTABLE = 0.2


def word(value: float) -> str:
    """``sees``, ``sees somewhat`` or ``does not see``."""
    if value >= SEES:
        return 'sees'
    return 'sees somewhat' if value >= SOMEWHAT else 'does not see'


def sentences(card: Mapping) -> list[str]:
    """What the figures of a card say, the most useful first."""
    lines = _trained_on(card)
    lines += [_refuse(card), sentence_of_epistemic(card), *_faint(card)]
    lines += [_whole_images(card), *_calibration(card), *_flags(card)]
    lines += gaussians(card) + several(card) + modes_agree(card) + _gaps(card)
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


def sentence_of_epistemic(card: Mapping) -> str:
    """What its map sees, of what could be measured."""
    found = [text for text in (_of_shifts(card), _of_patches(card)) if text]
    if not found:
        return (
            'Changed images and patches cannot be judged: there is no pixel '
            'to compare with.'
        )
    text = f'The epistemic map {", and ".join(found)}.'
    means = card['shifts']['mean']
    shift, entropy = means['epistemic']['value'], means['aleatoric']['value']
    if None not in (shift, entropy) and entropy >= shift:
        text += (
            f' Entropy alone does as well on shifts ({auroc(100 * entropy)}).'
        )
    return text + (
        ' Real unknown objects, above all ones that look like a known class, '
        'are harder than pasted patches, and nothing here measures them.'
    )


def _of_shifts(card: Mapping) -> str | None:
    """What the epistemic map does with changed images, where it is known."""
    shifts = card['shifts']
    shift = shifts['mean']['epistemic']
    if shift['value'] is None:
        return None
    blind = ', '.join(
        f'{kind.replace("_", " ")} ({auroc(100 * value)})'
        for kind, value in _by_kind(card, faint=False).items()
        if value < SOMEWHAT
    )
    figure = doubt(shift, shifts['images'])
    return (
        f'{word(shift["value"])} changed images: camera, noise, blur and the '
        f'like ({figure}{f"; not {blind}" if blind else ""})'
    )


def _of_patches(card: Mapping) -> str | None:
    """The same with pasted patches."""
    patch = card['pasted']['auroc']['epistemic']
    if patch['value'] is None:
        return None
    return (
        f'{word(patch["value"])} patches that look like nothing trained '
        f'({doubt(patch, card["pasted"]["images"])})'
    )


def _by_kind(card: Mapping, faint: bool) -> dict[str, float]:
    """Kind of shift to the AUROC of the epistemic map, where there is one."""
    values = {
        kind: entry['auroc']['epistemic']['value']
        for kind, entry in card['shifts']['kinds'].items()
        if kind.startswith(PREFIX_OF_FAINT) == faint
    }
    return {kind: value for kind, value in values.items() if value is not None}


def _faint(card: Mapping) -> list[str]:
    shifts = card['shifts']
    kinds = _by_kind(card, faint=True)
    seen = [
        f'{kind.removeprefix(PREFIX_OF_FAINT)} ({auroc(100 * value)})'
        for kind, value in kinds.items()
        if value >= SOMEWHAT
    ]
    if not kinds:
        return []
    told = ', '.join(seen).replace('_', ' ') or 'none of them'
    text = (
        f'Of {len(kinds)} changes when they are faint (mean '
        f'{doubt(shifts["mean_of_faint"], shifts["images"])}) the epistemic '
        f'map sees at least somewhat: {told}.'
    )
    lowest, kind = min(
        (shifts['kinds'][kind]['accuracy'], kind)
        for kind in kinds
        if shifts['kinds'][kind]['accuracy'] is not None
    )
    if lowest < shifts['accuracy']:
        worst = kind.removeprefix(PREFIX_OF_FAINT).replace('_', ' ')
        text += (
            f' Most accuracy is lost by {worst}: {lowest:.1%} of the pixels '
            f'are right, {shifts["accuracy"]:.1%} without it.'
        )
    return [text]


def _whole_images(card: Mapping) -> str:
    shifts = card['shifts']
    value = shifts['mean_by_novelty']
    return (
        'By image_novelty a whole image that was changed stands out with '
        f'{doubt(value, shifts["images"])} of each kind: '
        + (
            'sort images by it.'
            if value['value'] >= SEES
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
    many = ', '.join(
        f'{name} {share(value)}'
        for name, value in card['above_95'].items()
        if (value['value'] or 0) > MANY_FLAGS
    )
    if not many:
        return []
    return [
        f'“Above the 95th percentile” should flag 5% of ordinary pixels, but '
        f'flags more here ({many}): set thresholds on your own images.'
    ]


def modes_agree(card: Mapping) -> list[str]:
    """Whether whole images and sliding windows give one map."""
    modes = card['modes']
    if not modes['images'] or modes['flips']['value'] is None:
        return []
    flips = modes['flips']
    text = (
        'Between whole images and sliding windows the epistemic map keeps '
        'its order by '
        f'{doubt(modes["correlation"], modes["images"])} (rank '
        f'correlation); of its flags {share(flips)} are lost'
    )
    most = flips['value'] if flips['high'] is None else flips['high']
    if most > UNSTABLE:
        text += ': always predict in the mode of the fit'
    return [f'{text}.']


def _gaps(card: Mapping) -> list[str]:
    unseen = card['never_seen']
    if not unseen:
        return []
    return [f'Nothing here is about {named(unseen)}: not in these images.']
