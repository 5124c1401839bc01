"""Whether a stream of numbers still comes from where it came from.

Each number becomes its rank among numbers known to be ordinary and those seen
before, ties broken at random. If all of them are exchangeable, the ranks of a
statistic are independent and uniform, whatever the distribution (Vovk,
Gammerman & Shafer, Algorithmic Learning in a Random World, theorem 8.2). That
would not be so with ranks among a fixed set of ordinary numbers: they are
only uniform on average over sets, and a long stream would find out the set.

On each rank a bet is placed that pays 1 on average if it is uniform: the mean
of ``k * p ** (k - 1)`` over the p-values p that the rank may stand for. The
winnings since each moment, summed over all moments, ``R = (1 + R) * payoff``,
are the Shiryaev-Roberts detector (Vovk et al., Retrain or not retrain, 2021;
Shin, Ramdas & Rinaldo, E-detectors, 2022).
Without drift R minus the number of images is a martingale. R begins again
from 0 where it reaches c, so what was reached is at least c for each alarm,
and on average n images give at most n / c alarms.

Statistics of an image depend on each other. That does no harm: statistic k
has its own bets, on its own ranks alone, and ``c = 1 / (rate * weight k)``
with weights that add up to 1. Expectations add up, so all together give at
most ``rate * n`` alarms on average, for every n. (To average the detectors
would need ranks that are uniform given the past of *all* statistics,
which ranks in finite sets do not quite give.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .errors import require

Array = np.ndarray
# Of the bets: from "as extreme as never before" to "a little high of late".
POWERS = np.array([0.1, 0.25, 0.5, 0.8])
KEPT = 2000  # rows that are ranked against
CHANGING = ('rows', 'detector', 'winnings', 'start')  # arrays of the state


class Step(NamedTuple):
    """What one image did.

    Attributes:
        p (Array): (K,), share of ordinary images that are higher, from
            the middle of the rank.
        level (Array): (K,), detector as a share of its threshold.
        alarms (list[int]): Statistics that are beyond it.
        since (list[int]): For each of them, the number of the image with
            which the drift most likely began.
        rose (list[bool]): Whether it is higher than before, or lower.
    """

    p: Array
    level: Array
    alarms: list[int]
    since: list[int]
    rose: list[bool]


class DriftDetector:
    """Watches K statistics of a stream at once.

    Args:
        weights (Sequence[float]): (K,), how the rate of false alarms is
            shared out; they are scaled to add up to 1.
        rate (float): False alarms an image, at most.
        ordinary (Array): (M, K), of images known to be ordinary; M may be 0,
            then the stream is compared with its own beginning.
        seed (int): Of ties, and of the rows that are forgotten.

    Attributes:
        rows (Array): What is ranked against, at most ``max(2000, M)`` rows.
            Beyond, a random one is forgotten after each image; which it is
            has nothing to do with what was ranked, so ranks stay uniform.
        seen (int): Images of the stream.

    Example:
        >>> detector = DriftDetector([1.0], 0.001, np.arange(200.0)[:, None])
        >>> steps = [detector.update(np.array([1e3])) for _ in range(9)]
        >>> [number for number, step in enumerate(steps) if step.alarms]
        [2, 8]
    """

    def __init__(
        self,
        weights: Sequence[float],
        rate: float,
        ordinary: Array,
        seed: int = 0,
    ) -> None:
        shares = np.asarray(weights, np.float64)
        positive = len(shares) > 0 and bool((shares > 0).all())
        require(positive, 'positive weights', weights)
        require(0 < rate < 1, 'a rate above 0 and below 1', rate)
        require(
            ordinary.ndim == 2 and ordinary.shape[1] == len(shares),
            f'(M, {len(shares)}) ordinary values',
            ordinary.shape,
        )
        self.threshold = shares.sum() / (rate * shares)
        self.rows = _ranked(ordinary, np.random.default_rng([seed, 0]))
        self.seed = seed
        self.kept = max(KEPT, len(ordinary))
        self.seen = 0
        # High and low bets: the detector, and for "since when" the highest
        # winnings since any one moment (CUSUM) in nats, and that moment.
        shape = len(shares), 2, len(POWERS)
        self.detector = np.zeros(shape)
        self.winnings = np.zeros(shape)
        self.start = np.zeros(shape, np.int64)

    def update(
        self, values: Array, given: Mapping[int, tuple[int, int]] | None = None
    ) -> Step:
        """Take in the next image.

        Args:
            values (Array): (K,); what is no number counts as infinite.
            given (Mapping, optional): Statistic to a rank of one's own: how
                many of how many are higher.
        """
        count = len(self.threshold)
        require(values.shape == (count,), f'{count} values', values.shape)
        rng = np.random.default_rng([self.seed, self.seen + 1])
        values = _ranked(values, rng)
        higher = (self.rows > values).sum(0)
        among = np.full(count, len(self.rows))
        for k, rank in (given or {}).items():
            higher[k], among[k] = rank
        self._bet(higher, among)
        self.rows = np.vstack([self.rows, values])
        if len(self.rows) > self.kept:
            self.rows = np.delete(self.rows, rng.integers(len(self.rows)), 0)
        self.seen += 1
        return self._judge((higher + 0.5) / (among + 1))

    def _bet(self, higher: Array, among: Array) -> None:
        size = among[:, None, None] + 1
        start = np.stack([higher, among - higher], 1)[..., None]
        payoff = size * (
            ((start + 1) / size) ** POWERS - (start / size) ** POWERS
        )
        self.detector = (1 + self.detector) * payoff
        fresh = self.winnings <= 0
        self.start[fresh] = self.seen
        self.winnings = np.where(fresh, 0, self.winnings) + np.log(payoff)

    def _judge(self, p: Array) -> Step:
        """Compare with the thresholds; detectors beyond begin again."""
        level = self.detector.mean((1, 2)) / self.threshold
        alarms = np.flatnonzero(level >= 1).tolist()
        since, rose = [], []
        for k in alarms:
            side, bet = np.unravel_index(
                self.winnings[k].argmax(), self.winnings[k].shape
            )
            since.append(int(self.start[k, side, bet]))
            rose.append(bool(side == 0))
            self.detector[k] = self.winnings[k] = 0
        return Step(p, level, alarms, since, rose)

    def state(self) -> dict[str, Any]:
        """All that changes, as JSON."""
        arrays = {name: getattr(self, name).tolist() for name in CHANGING}
        return dict(seen=self.seen, **arrays)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`.

        Raises:
            ValueError: If it is that of other statistics, or no number.
        """
        for name in CHANGING:
            now = getattr(self, name)
            new = np.asarray(state[name], now.dtype)
            shape = (len(new), *now.shape[1:]) if name == 'rows' else now.shape
            good = new.shape == shape and bool(np.isfinite(new).all())
            require(good, f'numbers {shape} in {name}', new.shape)
            setattr(self, name, new)
        self.seen = int(state['seen'])
        dated = self.start.min() >= 0 and self.start.max() <= self.seen
        require(bool(dated), f'images up to {self.seen}', self.start.max())


def _ranked(values: Array, rng: np.random.Generator) -> Array:
    """No number becomes the highest; a billionth at random breaks ties."""
    values = np.nan_to_num(
        np.asarray(values, np.float64), nan=1e300, posinf=1e300, neginf=-1e300
    )
    size = np.maximum(np.abs(values), 1)
    return values + 1e-9 * rng.random(values.shape) * size
