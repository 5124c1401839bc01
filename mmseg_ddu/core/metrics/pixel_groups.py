"""Counts of one score in several groups of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .metric import Counts
from .ranking_counts import RankingCounts

HISTOGRAM_BINS = 60


class PixelGroups(Counts):
    """One score, counted apart for each group; any groups can be compared.

    Each pixel is counted once, however many questions are asked later:
    wrong against right pixels, one shift against plain images, and so on.
    Mergeable and in constant memory, as :class:`RankingCounts`.

    Example:
        >>> groups = PixelGroups()
        >>> groups.update('plain', torch.tensor([0.1, 0.2]))
        >>> groups.update('noise', torch.tensor([0.7, 0.15]))
        >>> groups.versus(['noise'], ['plain']).auroc()
        0.75
    """

    def __init__(self, bits: int = 22) -> None:
        self.bits = bits
        self.groups: dict[str, RankingCounts] = {}

    def update(self, group: str, scores: Tensor) -> None:
        """Add the scores of pixels of a group, of any shape."""
        counts = self._group(group)
        if scores.numel():
            counts.update(scores, torch.zeros_like(scores, dtype=torch.bool))

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        return {name: c.state_dict() for name, c in self.groups.items()}

    def merge_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        for group, counts in state.items():
            self._group(group).merge_state(counts)

    def _group(self, name: str) -> RankingCounts:
        return self.groups.setdefault(name, RankingCounts(self.bits))

    def versus(
        self, positives: Iterable[str], negatives: Iterable[str]
    ) -> RankingCounts:
        """Counts of groups that should score high against others.

        A group that never came up is empty.
        """
        result = RankingCounts(self.bits)
        for column, names in enumerate((negatives, positives)):
            for name in self.groups.keys() & names:
                group = self.groups[name]
                result.add(group.keys, group.counts[:, 0], column)
        return result

    def histogram(
        self,
        groups: Mapping[str, Iterable[str]],
        bins: int = HISTOGRAM_BINS,
    ) -> dict[str, list[float]]:
        """Shares in bins of equal width, from percentile 0.5 to 99.5.

        What lies outside counts in the first and last bin.

        Args:
            groups (Mapping[str, Iterable[str]]): Label to groups.
            bins (int): Their number.

        Returns:
            dict: ``edges``, bins + 1 numbers, and under each label with
            pixels its shares, which sum to one.
        """
        total = self.versus([], self.groups)
        order = total.counts[:, 0].cumsum(0).double()
        if not len(order):
            return dict(edges=[])
        levels = torch.tensor([0.005, 0.995]).double() * order[-1]
        ends = torch.searchsorted(order, levels).clamp(max=len(order) - 1)
        low, high = total.score(total.keys[ends]).double().tolist()
        high = high if high > low else low + 1.0
        edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
        result = dict(edges=edges.tolist())
        for label, names in groups.items():
            counts = self.versus([], names)
            values = counts.score(counts.keys).double()
            where = torch.searchsorted(edges, values, right=True) - 1
            number = counts.counts[:, 0].double()
            share = torch.bincount(where.clamp(0, bins - 1), number, bins)
            if share.any():
                result[label] = (share / share.sum()).tolist()
        return result
