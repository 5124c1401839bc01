"""What the figures of a test mean, in words."""

from __future__ import annotations

from collections.abc import Mapping

from mmseg_ddu.models.map_names import MAPS, NOVELTY

CHANCE = 50.0
NOVEL = 0.9  # mean percentile from which images look foreign
NO_BETTER = 'no map of this model does better'
ADVICE = (
    'Where no map is better than chance, look at the maps of a few images '
    'before you rely on any.'
)


def verdict(metrics: Mapping[str, float]) -> list[str]:
    """Sentences about a model, its maps and the test images.

    Args:
        metrics (Mapping[str, float]): Figures of ``tools/test.py``, such as
            ``uncertainty/total_mis_AUROC``, in percent.

    Returns:
        list[str]: First the network, then each map that was judged, then
        what was refused, and the novelty of the images.
    """
    shifted = 'novelty/AUROC' in metrics
    strangers = 'pixels of shifted images' if shifted else 'unknown objects'
    errors, unknown = (_of_maps(q, metrics) for q in ('mis', 'ood'))
    lines = [_network(metrics)]
    for name in MAPS:
        sentences = []
        if name in errors:
            sentences.append(_errors(name, errors, metrics))
        if name in unknown:
            sentences.append(_strangers(name, unknown, strangers))
        lines.append(' '.join(sentences))
    if any(NO_BETTER in line for line in lines):
        lines.append(ADVICE)
    lines += [_abstention(metrics), _novelty(metrics)]
    return [line for line in lines if line]


def _network(metrics: Mapping[str, float]) -> str:
    parts = []
    if 'mIoU' in metrics:
        parts.append(f'has a mIoU of {metrics["mIoU"]:.1f}')
    if 'calibration/ECE' in metrics:
        parts.append(
            f'is {metrics["calibration/ECE"]:.1f} percentage points too sure '
            'or too unsure on average (ECE)'
        )
    return f'The network {" and ".join(parts)}.' if parts else ''


def _errors(
    name: str, values: Mapping[str, float], metrics: Mapping[str, float]
) -> str:
    if values[name] < CHANCE:
        return _inverted(name, values, 'wrong pixels', 'right ones')
    text = f'{name} finds wrong pixels with an AUROC of {auroc(values[name])}'
    first = MAPS[0]
    if name != first and first in values:
        text += f' ({first} {auroc(values[first])})'
    before = metrics[f'uncertainty/{name}_mis_share']
    after = metrics[f'uncertainty/{name}_mis_risk90']
    end = f'lowers the error from {before:.1f}% to {after:.1f}%'
    if after >= before:
        end = f'does not lower the error of {before:.1f}%'
    return f'{text}; refusing the most uncertain 10% of pixels {end}.'


def _strangers(name: str, values: Mapping[str, float], kind: str) -> str:
    if values[name] < CHANCE:
        return _inverted(name, values, kind, 'ordinary pixels')
    figure = auroc(values[name])
    return f'{name} ranks {kind} above ordinary pixels with {figure}.'


def _inverted(
    name: str, values: Mapping[str, float], positives: str, negatives: str
) -> str:
    best = max(values, key=values.__getitem__)
    advice = f'use {best} ({auroc(values[best])}) for them'
    if values[best] < CHANCE:
        advice = NO_BETTER
    return (
        f'{name} ranks {positives} below {negatives} (AUROC '
        f'{auroc(values[name])}, chance is .50); {advice}.'
    )


def _abstention(metrics: Mapping[str, float]) -> str:
    coverage = metrics.get('abstention/coverage')
    if coverage is None:
        return ''
    before = metrics['abstention/error']
    text = f'It keeps {coverage:.1f}% of the pixels'
    if 'abstention/error_kept' in metrics:
        kept = metrics['abstention/error_kept']
        text += f', of which {kept:.2f}% are wrong ({before:.2f}% of all)'
    if 'abstention/error_refused' in metrics:
        refused = metrics['abstention/error_refused']
        text += f'; of those that it refuses {refused:.1f}% are wrong'
    return f'{text}.'


def _novelty(metrics: Mapping[str, float]) -> str:
    share = metrics.get('novelty/percentile')
    if share is None:
        return ''
    text = (
        f'By {NOVELTY} the test images are on average stranger than '
        f'{100 * share:.0f}% of the training images (50% is usual)'
    )
    if share > NOVEL:
        text += ', so expect more errors on them than in training'
    if 'novelty/AUROC' in metrics:
        value = metrics['novelty/AUROC']
        text += f'; it tells shifted images with an AUROC of {auroc(value)}'
        if value < CHANCE:
            text += ', worse than chance: do not sort such images by it'
    return f'{text}.'


def _of_maps(question: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """AUROC of each map that was judged."""
    keys = {name: f'uncertainty/{name}_{question}_AUROC' for name in MAPS}
    return {n: metrics[key] for n, key in keys.items() if key in metrics}


def auroc(value: float) -> str:
    """As in tables: 93.2 is .93."""
    return f'{value / 100:.2f}'.removeprefix('0')
