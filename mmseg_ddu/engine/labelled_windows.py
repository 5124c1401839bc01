"""Features of labelled images, exactly as prediction sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ddu.core.sampling import pixels_of
from mmseg_ddu.models.gda_head import GDAHead
from mmseg_ddu.models.heads import last_decode_head
from mmseg_ddu.models.uncertainty_maps import Window, padding_of

from .fitting_data import as_batch
from .labels import cells_per_class, labels_on_grid, void_of


class LabelledWindow(NamedTuple):
    """A window that inference cuts.

    Attributes:
        box (Window): ``(y1, y2, x1, x2)`` in the input.
        features (dict[str, Tensor]): Tap name to (1, D, h, w), with the
            logits.
        logits (Tensor): (1, C, y2 - y1, x2 - x1), as predicted.
        labels (Tensor): (y2 - y1, x2 - x1) classes.
    """

    box: Window
    features: dict[str, Tensor]
    logits: Tensor
    labels: Tensor

    def vectors(
        self, head: GDAHead, most: int | None, *seed: int
    ) -> tuple[Tensor, Tensor]:
        """A seeded choice of what a head sees here.

        Args:
            head (GDAHead): Whose tap and transform count.
            most (int, optional): Vectors of one class; None for all.
            seed (int): What the choice depends on.

        Returns:
            tuple[Tensor, Tensor]: (N, D') vectors and (N,) classes.
        """
        feature = self.features[head.tap]
        where, classes = cells_per_class(
            self.labels, feature.shape[2:], most, head.num_classes, *seed
        )
        return head.vectors(pixels_of(feature, where)), classes


class LabelledImage(NamedTuple):
    """An image as the network gets it, with its labels.

    Attributes:
        inputs (Tensor): (1, C, H, W), preprocessed.
        meta (dict): Its meta information.
        labels (Tensor): (H, W) classes; :func:`void_of` the model where there
            is none, as in the padding.
    """

    inputs: Tensor
    meta: dict
    labels: Tensor

    def windows(self, model: nn.Module) -> Iterator[LabelledWindow]:
        """What inference looks at, with a model (DDUMixin) in eval mode."""
        for box, *seen in model.iter_features(self.inputs, [self.meta]):
            y1, y2, x1, x2 = box
            yield LabelledWindow(box, *seen, self.labels[y1:y2, x1:x2])


def labelled_image(model: nn.Module, item: dict) -> LabelledImage:
    """Preprocess one item of a data set, with ``gt_sem_seg``.

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
    void = void_of(model)
    labels = sample.gt_sem_seg.data.squeeze(0)
    ignored = labels == last_decode_head(model).ignore_index
    # As the network sees the image: resized, then padded.
    left, right, top, bottom = padding = padding_of(meta)
    height, width = data['inputs'].shape[2:]
    inner = height - top - bottom, width - left - right
    labels = labels_on_grid(labels.masked_fill(ignored, void), inner)
    labels = F.pad(labels, padding, value=void)
    return LabelledImage(data['inputs'], meta, labels)
