"""ONNX files of models with both uncertainties, checked when written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmseg_ddu.fileio import atomic_write
from mmseg_ddu.models.abstention import refuses
from mmseg_ddu.models.map_names import NOVELTY, PERCENTILE
from mmseg_ddu.models.single_graph import OUTPUTS, SingleGraph

from .image_files import check_image
from .inference import init_ddu, load_image, require_bare_images

INPUT = 'image'
OPSET = 18
TOLERANCE = 1e-3
SIZES = ((512, 512), (384, 640))


def export_onnx(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    out: str | os.PathLike,
    *,
    images: Sequence[str | os.PathLike | np.ndarray] = (),
    sizes: Sequence[tuple[int, int]] = SIZES,
    tolerance: float = TOLERANCE,
    cfg_options: dict | None = None,
) -> dict:
    """Write a fitted model as ONNX and compare it with PyTorch.

    The graph takes ``image`` (1, C, H, W), float32, as the loader gives it
    (BGR, 0 to 255), of any height and width. It gives ``class`` (int64), the
    maps ``aleatoric``, ``epistemic`` and ``total`` and the percentile of each
    (float32), all (1, 1, H, W), and ``image_novelty`` with its percentile,
    (1,). Normalisation is part of it; resizing is not. A file that fails the
    comparison is not written.

    Args:
        config (str): The config the network was trained with.
        checkpoint (str): A ``*_gda.pth`` file.
        cfg_options: As in :func:`init_ddu`.
        out (str): ``.onnx`` file.
        images (Sequence): Paths, read as the config reads them, or
            (H, W, C) BGR arrays to compare with, resized to each of the
            sizes; noise by default.
        sizes (Sequence[tuple[int, int]]): Heights and widths to compare at.
        tolerance (float): Largest difference of a map, relative to its
            largest value if that is above 1. Ten times that for percentiles
            and ``total``, which are steep where many pixels are alike.

    Returns:
        dict: ``out``, ``bytes``, and under ``checks`` for each size the
        largest difference of each output, and the share of pixels of another
        ``class``.

    Raises:
        ImportError: If onnx or onnxruntime is not installed.
        TypeError: If the model has no density head.
        ValueError: If the test mode is ``slide``, or the results differ.
    """
    require_onnx()
    segmentor = init_ddu(config, checkpoint, 'cpu', cfg_options)
    if images:
        require_bare_images(segmentor)
    loaded = []
    for image in images:
        if not isinstance(image, np.ndarray):
            check_image(Path(image))
        loaded.append(load_image(segmentor, image))
    model = SingleGraph(segmentor)
    if refuses(segmentor):
        MMLogger.get_current_instance().warning(
            'The thresholds of the abstention are not part of the graph: '
            'refuse pixels whose total is above that of their class, in '
            "meta['abstention'] of the checkpoint."
        )
    checked = []
    with atomic_write(out) as temporary:
        write_onnx(model, temporary, sizes[0])
        for size in sizes:
            batches = [to_input(image, size) for image in loaded]
            batches = batches or [noise(model.channels, size)]
            checked.append(compare(model, temporary, batches))
        size = temporary.stat().st_size
        require_close(checked, tolerance)
    return dict(out=str(out), bytes=size, checks=checked)


def require_onnx() -> None:
    """Raise ImportError with the remedy if the extra is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'The export needs {error.name}: pip install "mmseg_ddu[onnx]", '
            'or pip install onnx onnxruntime.'
        ) from error


def write_onnx(
    model: SingleGraph, path: str | os.PathLike, size: tuple[int, int]
) -> None:
    """Trace a model with an image (H, W) into one file, no data beside it."""
    axes = {2: 'height', 3: 'width'}
    names = (INPUT, *(n for n in OUTPUTS if not n.startswith(NOVELTY)))
    with warnings.catch_warnings(), torch.no_grad():
        # Shapes that Python reads while tracing: those of channels.
        warnings.simplefilter('ignore')
        torch.onnx.export(
            model,
            (noise(model.channels, size),),
            str(path),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes=dict.fromkeys(names, axes),
            opset_version=OPSET,
            dynamo=False,
        )


def to_input(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    """An image (H, W, C) as the graph takes it, (1, C, H, W)."""
    # In float32, which OpenCV resizes with any number of channels.
    resized = cv2.resize(image.astype(np.float32), size[::-1])
    channels = torch.from_numpy(resized).reshape(*size, -1)
    return channels.movedim(2, 0)[None]


def noise(channels: int, size: tuple[int, int]) -> Tensor:
    """An image of noise, (1, C, H, W), always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, channels, *size, generator=generator) * 255


def compare(
    model: nn.Module, path: str | os.PathLike, batches: Sequence[Tensor]
) -> dict:
    """Largest differences between a file and the model, over images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider']
    )
    worst = dict.fromkeys(OUTPUTS, 0.0)
    for batch in batches:
        with torch.no_grad():
            expected = [value.numpy() for value in model(batch)]
        results = session.run(list(OUTPUTS), {INPUT: batch.numpy()})
        for name, want, got in zip(OUTPUTS, expected, results):
            found = difference(name, want, got)
            worst[name] = float(np.maximum(worst[name], found))  # or NaN
    return dict(size=list(batches[0].shape[2:]), images=len(batches), **worst)


def difference(name: str, want: np.ndarray, got: np.ndarray) -> float:
    """Share of other classes, or the largest difference of a map."""
    if want.shape != got.shape:
        raise ValueError(
            f'The output {name} has shape {got.shape} instead of '
            f'{want.shape}; the graph does not follow the size of its input.'
        )
    if name == 'class':
        return float((want != got).mean())
    unit = max(1.0, float(np.abs(want).max()))
    return float(np.abs(want - got).max()) / unit


def require_close(checked: Sequence[dict], tolerance: float) -> None:
    """Raise ValueError if any difference is above the tolerance."""
    steep = [n == 'total' or n.endswith(PERCENTILE) for n in OUTPUTS]
    limits = tolerance * np.where(steep, 10, 1)
    found = np.array([[row[name] for name in OUTPUTS] for row in checked])
    if not (found <= limits).all():  # NaN as well
        raise ValueError(
            f'The exported graph differs from PyTorch by {found.max():.2g}, '
            f'more than {tolerance:g}: {list(checked)}. Nothing was written.'
        )
