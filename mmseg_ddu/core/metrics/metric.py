"""What a metric sees of an image, and what makes a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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


class Counts:
    """Sums over images, which merge by adding up.

    The sums are the attributes that are tensors, where an empty one is
    nothing yet, or counts themselves.

    Attributes:
        settings (dict): What two objects must share to be merged.
    """

    settings: Mapping[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """All that was counted, as plain tensors; do not change them."""
        return {
            name: value.state_dict() if isinstance(value, Counts) else value
            for name, value in vars(self).items()
            if isinstance(value, (Counts, Tensor))
        }

    def merge_state(self, state: Mapping[str, Any]) -> None:
        """Add the :meth:`state_dict` of an object with these settings."""
        for name, value in state.items():
            own = getattr(self, name)
            if isinstance(own, Counts):
                own.merge_state(value)
            elif len(value):
                setattr(self, name, own + value if len(own) else value)

    def merge(self, other: Counts) -> None:
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


class Metric(Counts):
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
    """

    prefix = ''
    per_map = True
    in_test = True
    in_comparison = True
    on_shifts = False
    not_percent: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()

    def count(self, image: JudgedImage, score: Tensor | None = None) -> None:
        """Add an image; ``score`` (H, W) is higher for more uncertain."""
        raise NotImplementedError

    def figures(self) -> dict[str, float]:
        """Name to value; one without pixels is left out."""
        raise NotImplementedError

    def curves(self) -> dict[str, dict]:
        """Name to the data of a curve, tensors or lists."""
        return {}
