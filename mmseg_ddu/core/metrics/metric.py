"""What a metric sees of an image, and what makes a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from mmseg_ddu.core.errors import require

VOID = 255


@dataclass
class JudgedImage:
    """An image, its prediction and the truth, on one device.

    Attributes:
        classes (Tensor): (H, W) predicted classes.
        labels (Tensor): (H, W) classes; ``VOID`` where there is no label,
            and out of distribution.
        unlabelled (Tensor, optional): (H, W) bool, known to be in
            distribution, but without a label.
        strange (dict[str, Tensor]): Kind of out-of-distribution pixels to
            (H, W) bool.
        logits (Tensor, optional): (C, H, W), C > 1; log probabilities will
            do.
        refused (Tensor, optional): (H, W) bool, pixels without an answer.
        novelty (float, optional): Distance of the image from those of the
            training.
        novelty_percentile (float, optional): The same in [0, 1].
    """

    classes: Tensor
    labels: Tensor
    unlabelled: Tensor | None = None
    strange: dict[str, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None
    refused: Tensor | None = None
    novelty: float | None = None
    novelty_percentile: float | None = None

    @cached_property
    def known(self) -> Tensor:
        """(H, W) bool: labelled."""
        return self.labels != VOID

    @cached_property
    def right(self) -> Tensor:
        """(H, W) bool: labelled, and rightly classified."""
        return self.known & (self.classes == self.labels)

    @cached_property
    def wrong(self) -> Tensor:
        """(H, W) bool: labelled, and wrongly classified."""
        return self.known & (self.classes != self.labels)


class Metric:
    """Counts images one by one; mergeable, in constant memory.

    Attributes:
        prefix (str): Of its figures in ``tools/test.py``.
        per_map (bool): An object counts one uncertainty map; else it counts
            predictions, and ``score`` is None.
        in_test (bool): Whether ``tools/test.py`` counts it unasked.
        in_comparison (bool): Whether ``tools/compare_uncertainty.py`` does.
        on_shifts (bool): Whether the comparison counts shifted images, which
            have no labels, too.
        not_percent (tuple[str, ...]): Figures that are no shares.
        columns (tuple[str, ...]): Figures in the table of a comparison.
        lower_is_better (tuple[str, ...]): Figures that should be low.
        settings (dict): What two objects must share to be merged.
    """

    prefix = ''
    per_map = True
    in_test = True
    in_comparison = True
    on_shifts = False
    not_percent: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        """Add an image; ``score`` (H, W) is higher for more uncertain."""
        raise NotImplementedError

    def state_dict(self) -> dict:
        """All that was counted, as plain tensors; do not change them."""
        raise NotImplementedError

    def merge_state(self, state: Mapping[str, Any]) -> None:
        """Add the :meth:`state_dict` of an object with these settings."""
        raise NotImplementedError

    def merge(self, other: Metric) -> None:
        """Add all that another object has counted.

        Raises:
            ValueError: If it has other settings.
        """
        require(
            other.settings == self.settings,
            f'counts with {self.settings}',
            other.settings,
        )
        self.merge_state(other.state_dict())

    def figures(self) -> dict[str, float]:
        """Name to value; one without pixels is left out."""
        raise NotImplementedError

    def curves(self) -> dict[str, Any]:
        """Name to the data of a curve, in types that JSON has."""
        return {}


def json_lists(curves: NamedTuple) -> dict[str, list[float | None]]:
    """A named tuple of tensors in types that JSON has; None for NaN."""
    return {
        name: [None if v != v else v for v in values.tolist()]
        for name, values in curves._asdict().items()
    }
