"""Images that can be ranked, and those that cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from mmseg_ddu.apis.exporting.journal import is_disk_full
from mmseg_ddu.apis.kept_parts import Part, kept, parts_folder
from mmseg_ddu.core.metrics.metric import VOID
from mmseg_ddu.engine.checkpoint import digest, weights_digest
from mmseg_ddu.engine.ranks import reason

from .ranked_image import RankedImage

MOST_REASON = 300


@dataclass
class FoundImages:
    """All images of a ranking.

    Attributes:
        classes (list[str]): Names.
        source (dict): What the images are of.
        images (list[RankedImage]): In the order in which they were found.
        left_out (list[dict]): ``image`` and ``reason``.
    """

    classes: list[str]
    source: dict[str, Any]
    images: list[RankedImage] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def name(self, number: int) -> str:
        """Of a class; its number if it has no name."""
        if number == VOID:
            return 'refused'
        known = number < len(self.classes)
        return self.classes[number] if known else str(number)

    def leave_out(self, image: str, why: str) -> None:
        """Say that an image cannot be ranked, and why."""
        self.left_out.append(dict(image=image, reason=why[:MOST_REASON]))
        MMLogger.get_current_instance().warning(
            f'{image!r} is left out: {why[:MOST_REASON]}'
        )

    def measured(
        self, image: str, file: Path, measure: Callable[[], Part]
    ) -> Part | None:
        """What is :func:`kept` of an image; None if it had to be left out."""
        try:
            return kept(file, measure)
        except Exception as error:  # whatever a decoder raises
            if is_disk_full(error):
                raise
            ours = isinstance(error, ValueError)
            self.leave_out(image, str(error) if ours else reason(error))
            return None

    def with_region(self, image: RankedImage) -> RankedImage | None:
        """An image with its region; None if it had to be left out."""
        if image.find_region is None:
            return image
        try:
            box, predicted = image.find_region()
        except (OSError, ValueError) as error:
            self.leave_out(image.image, str(error))
            return None
        return image._replace(box=box, predicted=predicted)

    def require_some(self) -> None:
        """Raise ValueError if no image can be ranked."""
        if self.images:
            return
        if not self.left_out:
            raise ValueError('There is no image to rank.')
        raise ValueError(
            f'None of the {len(self.left_out)} images can be ranked. The '
            f'first, {self.left_out[0]["image"]}: '
            f'{self.left_out[0]["reason"]}'
        )


def open_parts(
    parts: Path, checkpoint: str | os.PathLike, settings: Any
) -> None:
    """The folder of what is kept of images; ValueError if it is of others.

    Args:
        settings (Any): What it depends on beside the checkpoint.
    """
    parts_folder(
        parts,
        dict(weights=weights_digest(checkpoint), model=digest(settings)),
        f'{parts} belongs to the ranking of another checkpoint, config or '
        'split. Choose another --out, or delete that folder.',
    )
