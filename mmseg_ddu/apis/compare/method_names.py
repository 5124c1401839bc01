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
SAMPLED_ROWS = dict(mi='epistemic', pe='total')
DDU_ROWS = dict(epistemic='epistemic', total='total')
CONSTANT = 'constant-per-image'
_DDU = re.compile(r'ddu(-[\w.+-]+)?')
_MC = re.compile(r'mc_dropout(\d+)?(?:-(backbone)(\d*\.\d+)?)?')
_ENSEMBLE = re.compile(r'ensemble(-[\w.+-]+)?')
NAMES = (
    'entropy, energy, max_logit, msp, ddu, ddu-LABEL, mc_dropoutT (as '
    'mc_dropout10), mc_dropoutT-backbone (0.1 behind every stage of the '
    'backbone; mc_dropout10-backbone0.2 sets it), ensemble, ensemble-LABEL'
)


@dataclass(frozen=True)
class Method:
    """One method and where its weights are.

    Attributes:
        kind (str): ``single``, ``ddu``, ``mc_dropout`` or ``ensemble``.
        checkpoints (tuple[Path, ...]): One; several for an ensemble.
        passes (int): Forward passes for a prediction.
        dropout_p (float, optional): Of dropout behind the backbone's stages.
        constant (bool): Whether there is a row of ``image_novelty`` spread
            over all pixels: what sees only which image is strange.
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
        parts = DDU_ROWS if self.kind == DDU else SAMPLED_ROWS
        rows = {f'{self.name}-{k}': score for k, score in parts.items()}
        return {**rows, CONSTANT: NOVELTY} if self.constant else rows


def parse_method(text: str) -> Method:
    """``NAME=CHECKPOINT[,CHECKPOINT…]``, or a ValueError."""
    name, _, files = text.partition('=')
    paths = tuple(Path(file) for file in files.split(',') if file)
    if not name or not paths:
        raise ValueError(
            f'Expected NAME=CHECKPOINT[,CHECKPOINT…], but got {text!r}.'
        )
    if _ENSEMBLE.fullmatch(name):
        if len(paths) < 2:
            raise ValueError(
                f'{name} needs at least 2 checkpoints, separated by commas, '
                f'but got {files!r}.'
            )
        return Method(name, ENSEMBLE, paths, len(paths))
    if len(paths) > 1:
        raise ValueError(f'{name} takes one checkpoint, but got {files!r}.')
    if name in FREE_SCORES:
        return Method(name, SINGLE, paths)
    if _DDU.fullmatch(name):
        return Method(name, DDU, paths)
    if match := _MC.fullmatch(name):
        passes = int(match[1] or 10)
        if passes < 2:
            raise ValueError(f'{name}: one pass has no mutual information.')
        drop = float(match[3] or 0.1) if match[2] else None
        return Method(name, MC, paths, passes, drop)
    raise ValueError(f'Unknown method {name!r}; there are {NAMES}.')


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
