"""Drawn vectors whose classes differ in a few of many directions.

As many classes and channels as UPerNet has here: 9, in 8 of 128 directions,
turned at random. A vector is its class mean and noise of variance one. *Near*
unknown vectors are moved in the 8 directions, *far* ones in the others, both
at random from the mean of a class, by as much as the density of the whole
vector needs to tell either of them with an AUROC of .94; nothing else was
chosen. Where "Decomposing representations for deterministic uncertainty"
(Huang, van Amersfoort and Gal, arXiv 2112.00856) reports .94 for all features
and .98 for its two parts, on drawn data whose recipe was not at hand.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.proof.figures import counts_of
from mmseg_ddu.core.densities import DENSITIES
from mmseg_ddu.core.surprise import Surprise

CLASSES, READ, CHANNELS = 9, 8, 128
SPREAD = 8.0  # of the class means in each direction: far from one another
NUMBER = 6000  # of vectors, in training, to calibrate and to judge
WHOLE = 0.94


class Drawn:
    """Vectors of one seed.

    Attributes:
        means (Tensor): (CLASSES, READ).
        turn (Tensor): (CHANNELS, CHANNELS), orthogonal.
    """

    def __init__(self, seed: int) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.means = SPREAD * self.noise(CLASSES, READ)
        self.turn = torch.linalg.qr(self.noise(CHANNELS, CHANNELS)).Q

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.rng)

    def vectors(
        self, near: float = 0.0, far: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """(NUMBER, CHANNELS) and (NUMBER,) classes, moved by so much."""
        shape = (NUMBER,)
        labels = torch.randint(0, CLASSES, shape, generator=self.rng)
        plain = self.noise(NUMBER, CHANNELS)
        plain[:, :READ] += self.means[labels]
        plain[:, :READ] += near * _directions(self.noise(NUMBER, READ))
        rest = self.noise(NUMBER, CHANNELS - READ)
        plain[:, READ:] += far * _directions(rest)
        return plain @ self.turn, labels


def _directions(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


class Densities:
    """Of the whole vector and of its parts, fitted and calibrated."""

    def __init__(self, drawn: Drawn) -> None:
        read, rest = drawn.turn[:READ].T, drawn.turn[READ:].T
        nothing = torch.eye(CHANNELS)
        self.bases = dict(all=nothing, row_space=read, null_space=rest)
        self.bases.update(pca_top=nothing, pca_bottom=nothing)
        vectors, labels = drawn.vectors()
        held_out, _ = drawn.vectors()
        self.densities, self.surprises = {}, {}
        for name, basis in self.bases.items():
            kind = name if name.startswith('pca') else 'gaussian'
            density = DENSITIES.find(kind)(CLASSES, basis.shape[1])
            moments = density.new_moments()
            density.fit_moments(moments.update(vectors @ basis, labels))
            self.densities[name] = density
            self.surprises[name] = Surprise()
            self.surprises[name].fit(self.score(name, held_out))

    def score(self, name: str, vectors: Tensor) -> Tensor:
        """Minus the log density of one of them, (N, CHANNELS) -> (N,)."""
        return -self.densities[name].score_samples(vectors @ self.bases[name])

    def rows(self, vectors: Tensor) -> Mapping[str, Tensor]:
        """Score to its values, with the sums of surprises."""
        rows = {name: self.score(name, vectors) for name in self.densities}
        rare = {name: s(rows[name]) for name, s in self.surprises.items()}
        rows['row_space + null_space'] = rare['row_space'] + rare['null_space']
        rows['pca_top + pca_bottom'] = rare['pca_top'] + rare['pca_bottom']
        return rows


def simulate(seed: int) -> dict[str, dict[str, float]]:
    """Row to AUROC of near, far and all unknown vectors, for one seed."""
    drawn = Drawn(seed)
    densities = Densities(drawn)
    known = drawn.vectors()[0]
    ordinary = densities.score('all', known)

    def auroc_of(**moved: float) -> float:
        unknown = densities.score('all', drawn.vectors(**moved)[0])
        return counts_of(ordinary, unknown).auroc()

    unknown = [
        drawn.vectors(near=distance(lambda d: auroc_of(near=d)))[0],
        drawn.vectors(far=distance(lambda d: auroc_of(far=d)))[0],
    ]
    rows = densities.rows(known)
    near, far = (densities.rows(vectors) for vectors in unknown)
    return {
        name: dict(
            near=counts_of(low, near[name]).auroc(),
            far=counts_of(low, far[name]).auroc(),
            unknown=counts_of(low, torch.cat([near[name], far[name]])).auroc(),
        )
        for name, low in rows.items()
    }


def distance(auroc) -> float:
    """By bisection, that at which an AUROC is ``WHOLE``."""
    low, high = 0.0, 32.0
    for _ in range(12):
        middle = (low + high) / 2
        if auroc(middle) < WHOLE:
            low = middle
        else:
            high = middle
    return (low + high) / 2
