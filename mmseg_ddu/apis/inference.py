"""A model with both uncertainties, and predictions of single images."""

from __future__ import annotations

import os

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_ddu.engine.build import (
    build_ddu,
    model_of_checkpoint,
    read_config,
)
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fit_meta import warn_of_other_mode
from mmseg_ddu.engine.fitting_data import as_batch, evaluation_pipeline
from mmseg_ddu.engine.tta_pipeline import (
    TTA_MODEL,
    tta_pipeline,
    without_annotations,
)
from mmseg_ddu.registry import MODELS
from mmseg_ddu.visualization.heatmap import to_bytes
from mmseg_ddu.visualization.prediction import default_palette

ImageLike = str | os.PathLike | np.ndarray
# What a data set with labels gives to its pipeline.
LABEL_KEYS = (
    *('gt_seg_map', 'label_map', 'reduce_zero_label', 'seg_fields'),
    'seg_map_path',
)


def init_ddu(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    device: str | None = None,
    cfg_options: dict | None = None,
    tta: bool = False,
) -> nn.Module:
    """A segmentor that predicts classes and both uncertainties.

    Args:
        config (str or Config): The config the network was trained with; it
            needs no density head.
        checkpoint (str): A ``*_gda.pth`` file, or plain weights for a config
            of ``MCDropoutEncoderDecoder``.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        cfg_options (dict, optional): Overrides settings of the config.
        tta (bool): Merge the augmentations of the config's
            ``tta_pipeline``, or of the test pipeline and its flip.

    Returns:
        nn.Module: In eval mode, with ``cfg``, ``pipelines``,
        ``dataset_meta`` and ``checkpoint_meta``.

    Raises:
        NotFittedError: If the checkpoint holds no fitted densities.
        ValueError: If the weights do not belong to the config.

    Example:
        >>> model = init_ddu('config.py', 'weights_gda.pth')  # doctest: +SKIP
        >>> sample = predict(model, 'photo.jpg')  # doctest: +SKIP
        >>> sample.pred_epistemic.data.shape  # doctest: +SKIP
        torch.Size([1, 375, 500])
    """
    cfg = read_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    content = read_checkpoint(checkpoint)
    model_cfg = model_of_checkpoint(cfg.model, content['meta'])
    model = build_ddu(
        model_cfg, content['state_dict'], str(checkpoint), device
    )
    if hasattr(model, 'gda_head'):
        model.gda_head.require_fitted()
        steps = evaluation_pipeline(cfg)
        warn_of_other_mode(content['meta'], model.test_cfg, steps)
    if tta:
        model = MODELS.build(dict(type=TTA_MODEL, module=model)).eval()
    model.cfg = cfg
    # Built once, not once an image: from a file, and from an array.
    model.pipelines = [inference_pipeline(cfg, a, tta) for a in (False, True)]
    model.checkpoint_meta = content['meta']
    model.dataset_meta = predicted_meta(model, content['meta'])
    return model


def init_fitted(*args, **options) -> nn.Module:
    """As :func:`init_ddu`; a ValueError unless the model has densities."""
    model = init_ddu(*args, **options)
    if not hasattr(model, 'gda_head'):
        raise ValueError(
            f'{type(model).__name__} has no density. Fit one with '
            'tools/fit_gda.py and give the *_gda.pth file that it writes.'
        )
    return model


def predicted_meta(model: nn.Module, meta: dict) -> dict:
    """Classes and palette of what a model predicts, added ones too."""
    trained = meta.get('dataset_meta') or {}
    added = getattr(getattr(model, 'gda_head', None), 'added', ())
    if not added:
        return trained
    names = list(trained.get('classes') or range(model.gda_head.num_classes))
    colors = list(trained.get('palette') or default_palette())[: len(names)]
    end = len(names) + len(added)
    return dict(
        trained,
        classes=[*map(str, names), *added],
        palette=[*colors, *default_palette()[len(colors) : end]],
    )


class BareImagePipeline(Compose):
    """Test steps on an image alone; a step that needs labels is left out.

    Steps of mmseg that load labels are taken out by name before. One of the
    user's own, under any name, shows itself by the key that it misses.

    Raises:
        KeyError: If it stands inside test-time augmentation, which is more
            than that step.
        ValueError: If a step makes nothing of an image.
    """

    def transform(self, results: dict) -> dict:
        """Prepare one image; what is left out is said once."""
        for step in list(self.transforms):
            try:
                results = step(dict(results))
            except KeyError as error:
                named = error.args and error.args[0] in LABEL_KEYS
                if not named or hasattr(step, 'subroutines'):
                    raise
                self.transforms.remove(step)
                MMLogger.get_current_instance().warning(
                    f'{type(step).__name__} of the test pipeline needs '
                    f'{error.args[0]}, which an image without labels does '
                    'not have: it is left out.'
                )
            if results is None:
                raise ValueError(
                    f'{type(step).__name__} of the test pipeline makes '
                    'nothing of the image.'
                )
        return results


def inference_pipeline(
    cfg: Config, from_array: bool = False, tta: bool = False
) -> Compose:
    """The config's test (or augmentation) pipeline without labels."""
    steps = tta_pipeline(cfg) if tta else evaluation_pipeline(cfg)
    steps = without_annotations(steps)
    if from_array:
        steps[0] = dict(type='LoadImageFromNDArray')
    return BareImagePipeline(steps)


def require_bare_images(model: nn.Module) -> None:
    """Refuse a network that needs more than one image file.

    Raises:
        ValueError: If the loader of the test pipeline asks its data set for
            something else, as the second image of a change detection.
    """
    load = model.pipelines[0].transforms[0]
    try:
        load(dict(img_path='', img_id=0))
    except KeyError as error:
        key = error.args[0] if error.args else None
        if key not in LABEL_KEYS:
            raise ValueError(
                f'{type(load).__name__} of the test pipeline needs {key!r}, '
                'which an image file does not have, so images cannot be '
                'predicted one by one. Predict those of a data set, with '
                'tools/test.py, or model.test_step on batches of its loader.'
            ) from error
    except Exception:  # whatever it says of a file that is not there
        return


@torch.no_grad()
def predict(model: nn.Module, image: ImageLike) -> SegDataSample:
    """Predict one image.

    Args:
        model (nn.Module): From :func:`init_ddu`.
        image (str or np.ndarray): A path, or (H, W, 3) uint8 BGR.

    Returns:
        SegDataSample: With ``pred_sem_seg``, ``seg_logits``,
        ``pred_aleatoric``, ``pred_epistemic`` and ``pred_total`` at the size
        of the image, the percentile of each, and ``image_novelty`` in its
        metainfo.

    Raises:
        ValueError: If the network needs more than one image.
    """
    require_bare_images(model)
    return model.test_step(prepare(model, image))[0]


def prepare(model: nn.Module, image: ImageLike) -> dict:
    """An image (see :func:`predict`) read and transformed: a batch of one."""
    return as_batch(prepare_item(model, image))


def prepare_item(model: nn.Module, image: ImageLike) -> dict:
    """Read and transform one image, as an item of a batch."""
    if isinstance(image, np.ndarray):
        return model.pipelines[1](dict(img=image, img_path=None))
    return model.pipelines[0](dict(img_path=str(image), img_id=0))


def load_image(model: nn.Module, image: ImageLike) -> np.ndarray:
    """An image as the loading step of the pipeline reads it, (H, W, C)."""
    if not isinstance(image, np.ndarray):
        load = model.pipelines[0].transforms[0]
        image = load(dict(img_path=str(image)))['img']
    return image.reshape(*image.shape[:2], -1)


def loaded_pixels(model: nn.Module, image: ImageLike) -> np.ndarray:
    """An image as the network gets it, to look at.

    The first three channels, or the first alone where there are fewer.
    What is not in 0 to 255 is stretched (:func:`to_bytes`).

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    pixels = load_image(model, image)
    pixels = pixels[..., 2::-1] if pixels.shape[2] > 2 else pixels[..., :1]
    shape = *pixels.shape[:2], 3
    return np.ascontiguousarray(np.broadcast_to(to_bytes(pixels), shape))
