"""What ``--method NAME=CHECKPOINT[,CHECKPOINT…]`` means."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from mmseg_ddu.core.scores import (
    energy,
    max_logit,
    max_probability,
    softmax_entropy,
)
from mmseg_ddu.models.map_names import NOVELTY

SINGLE, DDU, MC, ENSEMBLE = 'single', 'ddu', 'mc_dropout', 'ensemble'
# Scores that any network gives for nothing, from (B, C, H, W) logits.
FREE_SCORES: dict[str, Callable[[Tensor], Tensor]] = dict(
    entropy=softmax_entropy,
    energy=energy,
    max_logit=max_logit,
    msp=max_probability,
)
# Name behind the method's to the map that is its score.
PARTS = {
    DDU: dict(epistemic='epistemic', total='total'),
    MC: dict(mi='epistemic', pe='total'),
    ENSEMBLE: dict(mi='epistemic', pe='total'),
}
CONSTANT = 'constant-per-image'
_LABELLED = re.compile(r'(ddu|ensemble)(-[\w.+-]+)?')
_MC = re.compile(r'mc_dropout(\d+)?(?:-(backbone)(\d*\.\d+)?)?')
NAMES = (
    'entropy, energy, max_logit, msp, ddu, ddu-LABEL, mc_dropoutT (as '
    'mc_dropout10), mc_dropoutT-backbone (0.1 behind every stage of the '
    'backbone; mc_dropout10-backbone0.2 sets it), ensemble, ensemble-LABEL'
)


@dataclass(frozen=True)
class Method:
    """One method and where its weights are.

    With ``dropout_p`` there is dropout behind the backbone's stages. With
    ``constant`` there is a row of ``image_novelty`` spread over all pixels:
    what sees only which image is strange.
    """

    name: str
    kind: str
    checkpoints: tuple[Path, ...]
    passes: int = 1
    dropout_p: float | None = None
    constant: bool = False

    @property
    def rows(self) -> dict[str, str]:
        """Row of the table to its score: a free one, a map, or novelty."""
        if self.kind == SINGLE:
            return {self.name: self.name}
        parts = PARTS[self.kind].items()
        rows = {f'{self.name}-{part}': score for part, score in parts}
        return {**rows, CONSTANT: NOVELTY} if self.constant else rows


def parse_method(text: str) -> Method:
    """``NAME=CHECKPOINT[,CHECKPOINT…]``, or a ValueError."""
    name, _, files = text.partition('=')
    paths = tuple(Path(file) for file in files.split(',') if file)
    if not name or not paths:
        raise ValueError(
            f'Expected NAME=CHECKPOINT[,CHECKPOINT…], but got {text!r}.'
        )
    labelled, sampled = _LABELLED.fullmatch(name), _MC.fullmatch(name)
    kind = labelled[1] if labelled else MC if sampled else SINGLE
    if kind == SINGLE and name not in FREE_SCORES:
        raise ValueError(f'Unknown method {name!r}; there are {NAMES}.')
    if kind == ENSEMBLE and len(paths) < 2:
        raise ValueError(
            f'{name} needs at least 2 checkpoints, separated by commas, but '
            f'got {files!r}.'
        )
    if kind != ENSEMBLE and len(paths) > 1:
        raise ValueError(f'{name} takes one checkpoint, but got {files!r}.')
    if not sampled:
        return Method(name, kind, paths, len(paths))
    passes = int(sampled[1] or 10)
    if passes < 2:
        raise ValueError(f'{name}: one pass has no mutual information.')
    drop = float(sampled[3] or 0.1) if sampled[2] else None
    return Method(name, kind, paths, passes, drop)


def parse_methods(texts: Sequence[str]) -> list[Method]:
    """All methods of a comparison; the first DDU has the constant row.

    Raises:
        ValueError: If there is none, or a name comes twice.
    """
    if not texts:
        raise ValueError(f'Expected at least one method: {NAMES}.')
    methods = [parse_method(text) for text in texts]
    names = [method.name for method in methods]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ValueError(
            f'The methods {double} were given twice; use names such as '
            'ddu-a and ddu-b.'
        )
    first = next((m for m in methods if m.kind == DDU), None)
    return [replace(m, constant=m is first) for m in methods]
