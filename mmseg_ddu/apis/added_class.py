"""A class more, from a few images and without training."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmseg_ddu.engine.checkpoint import save_checkpoint
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.engine.labels import void_of
from mmseg_ddu.models.abstention import PREFIX, Abstention
from mmseg_ddu.models.ddu_segmentor import DDUMixin
from mmseg_ddu.models.gda_head import GDAHead
from mmseg_ddu.models.heads import last_decode_head

from .inference import ImageLike, predicted_meta, prepare_item

PIXELS = 512  # of an image, as in a fit


@torch.no_grad()
def add_class(
    model: nn.Module,
    images: Sequence[ImageLike],
    labels: Sequence[np.ndarray],
    name: str,
    out: str | os.PathLike | None = None,
) -> None:
    """Teach a fitted model one class more, without a gradient.

    The class gets a Gaussian of its own: the mean of the features of its
    pixels, and a covariance between theirs and the one that all classes
    share, the nearer to that the fewer images there are. The model is
    changed: a pixel is of the new class (``pred_sem_seg`` is the number of
    classes there were) where the density of that is higher than those of all
    classes of the training; elsewhere the network decides, as before.
    ``pred_epistemic`` is low on what the class looks like from then on;
    percentiles, the entropy and further heads stay as they are.

    Args:
        model (nn.Module): From :func:`init_ddu`.
        images (Sequence): As :func:`predict` takes them; 1 to 25 or so.
        labels (Sequence[np.ndarray]): For each image, (H, W) bool: the
            pixels of the class.
        name (str): Of the class.
        out (str, optional): Checkpoint to write. With the config as it is,
            it is the model with this class.

    Raises:
        NotFittedError: If the model has no fitted density.
        ValueError: If the name is taken, a label is no mask of the size of
            its image, or no pixel is of the class; nothing is changed then.

    Example:
        >>> add_class(model, ['horse.jpg'], [mask], 'horse')  # doctest: +SKIP
    """
    head = _fitted_head(model)
    classes = list(model.dataset_meta.get('classes') or [])
    if not name or not isinstance(name, str) or name in classes:
        raise ValueError(
            f'Expected the name of a class that is not among {classes}, but '
            f'got {name!r:.80}.'
        )
    if len(images) != len(labels):
        raise ValueError(
            f'Expected a mask for each image, but got {len(images)} images '
            f'and {len(labels)} masks.'
        )
    found = [
        _vectors(model, image, label, number)
        for number, (image, label) in enumerate(zip(images, labels))
    ]
    seen = [vectors for vectors in found if len(vectors)]
    if not seen:
        raise ValueError(
            f'No pixel of the {len(found)} masks is of {name!r} on the grid '
            'of the features, and finite. Give more, or larger ones.'
        )
    head.add_class(name, torch.cat(seen), len(seen))
    _forget_thresholds(model)
    meta = model.checkpoint_meta
    options = dict(meta['gda'].get('head') or {}, added=list(head.added))
    model.checkpoint_meta = {**meta, 'gda': {**meta['gda'], 'head': options}}
    model.dataset_meta = predicted_meta(model, meta)
    if out is not None:
        save_checkpoint(out, model.state_dict(), model.checkpoint_meta)


def _forget_thresholds(model: DDUMixin) -> None:
    """An abstention of as many classes as are predicted, without a promise."""
    if model.abstention.ready:
        MMLogger.get_current_instance().warning(
            'The thresholds of the abstention are dropped: their promise was '
            'about the predictions without the class. Find others with '
            'tools/fit_abstention.py.'
        )
    head = model.gda_head
    device = head.density.means.device
    model.abstention = Abstention(head.predicted_classes).to(device)
    name = PREFIX.removesuffix('.')
    meta = {k: v for k, v in model.checkpoint_meta.items() if k != name}
    model.checkpoint_meta = meta


def _fitted_head(model: nn.Module) -> GDAHead:
    fit = getattr(model, 'checkpoint_meta', {}).get('gda')
    if not isinstance(model, DDUMixin) or fit is None:
        raise ValueError(
            'Expected a model from init_ddu, with a checkpoint of '
            'tools/fit_gda.py and without tta, but got '
            f'{type(model).__name__}.'
        )
    model.gda_head.require_fitted()
    return model.gda_head


def _vectors(
    model: nn.Module, image: ImageLike, label: np.ndarray, number: int
) -> Tensor:
    """What the density sees of the class in one image, (N, D')."""
    item = prepare_item(model, image)
    size = tuple(item['data_samples'].ori_shape)
    mask = np.ascontiguousarray(label)
    if mask.shape != size or mask.dtype != bool:
        raise ValueError(
            f'Expected labels[{number}] to be a mask of type bool and shape '
            f'{size}, that of its image, but got {mask.dtype} and '
            f'{mask.shape}.'
        )
    # Any class that is not void.
    own = int(last_decode_head(model).ignore_index == 0)
    truth = torch.full((1, *size), void_of(model))
    truth[0, torch.from_numpy(mask)] = own
    item['data_samples'].gt_sem_seg = PixelData(data=truth)
    head, parts = model.gda_head, []
    for place, window in enumerate(labelled_image(model, item).windows(model)):
        vectors, _ = window.vectors(head, PIXELS, 0, number, place)
        parts.append(vectors[vectors.isfinite().all(1)])
    return torch.cat(parts)
