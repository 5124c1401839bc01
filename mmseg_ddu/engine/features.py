"""Features of labelled images, exactly as prediction sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn

from .data import as_batch
from .labels import labels_on_input


class LabelledWindow(NamedTuple):
    """What :func:`labelled_windows` yields.

    Attributes:
        box (tuple[int, int, int, int]): ``(y1, y2, x1, x2)`` in the input.
        features (dict[str, Tensor]): Tap name to (1, D, h, w), and
            ``predicted`` to (1, 1, h, w).
        labels (Tensor): (y2 - y1, x2 - x1) classes.
    """

    box: tuple[int, int, int, int]
    features: dict[str, Tensor]
    labels: Tensor


def labelled_windows(
    model: nn.Module, item: dict, ignore_index: int
) -> Iterator[LabelledWindow]:
    """The windows that inference cuts one image into, with their labels.

    Args:
        model (DDUMixin): In eval mode.
        item (dict): Item of a data set, with ``gt_sem_seg``.
        ignore_index (int): Void label, also of the padding.

    Raises:
        ValueError: If the pipeline flips images.
    """
    data = model.data_preprocessor(as_batch(item), False)
    sample = data['data_samples'][0]
    meta = sample.metainfo
    if meta.get('flip'):
        raise ValueError(
            'The test pipeline flips images; the labels for '
            'the fit would not match. Remove the flip.'
        )
    size = tuple(data['inputs'].shape[2:])
    labels = sample.gt_sem_seg.data.squeeze(0)
    labels = labels_on_input(labels, meta, size, ignore_index)
    for box, features in model.iter_features(data['inputs'], [meta]):
        y1, y2, x1, x2 = box
        yield LabelledWindow(box, features, labels[y1:y2, x1:x2])
