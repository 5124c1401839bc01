"""Writing per-pixel uncertainty maps of images to files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from rich.progress import track
from torch import nn

from mmseg_ddu.engine.checkpoint import plain
from mmseg_ddu.engine.report import versions
from mmseg_ddu.fileio import require_writable_folder, sha256, write_json
from mmseg_ddu.visualization.maps import (
    Scale,
    map_scales,
    sample_classes,
    sample_maps,
)

from .inference import check_image, init_ddu, prepare
from .map_files import MapWriter

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
MANIFEST = 'manifest.json'
UNUSUAL = 0.95


def export(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    images: str | os.PathLike | Sequence[str | os.PathLike],
    out_dir: str | os.PathLike,
    *,
    device: str | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    cfg_options: dict | None = None,
    tta: bool = False,
) -> dict:
    """Predict images and write their maps.

    Under ``out_dir``: ``class/`` (PNG with palette), ``epistemic/`` and
    ``aleatoric/`` (float32 ``.npy``, 16-bit PNG on the linear scale that the
    manifest states, heat map with colour bar), ``percentile/`` (the
    epistemic score as its percentile among training pixels, the same three
    files), ``overlay/`` (image, prediction and both maps side by side) and
    ``manifest.json`` with a row per image.

    An unreadable image is listed in the manifest and skipped. After Ctrl-C
    the manifest lists what was done, with ``complete: false``.

    Args:
        config (str): The config the network was trained with.
        checkpoint (str): A ``*_gda.pth`` file.
        images (str or list): An image, a folder that is searched for
            images, or a list of images.
        out_dir (str): Created if need be.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        overwrite (bool): Write into a folder that is not empty.
        pictures (bool): Also write heat maps and overlays.
        cfg_options (dict, optional): Overrides settings of the config.
        tta (bool): Means over augmentations, see :func:`init_ddu`.

    Returns:
        dict: The manifest.

    Raises:
        FileNotFoundError: If there is no image.
        FileExistsError: If ``out_dir`` is not empty.
    """
    files = find_images(images)
    out_dir = Path(out_dir)
    if out_dir.is_dir() and any(out_dir.iterdir()) and not overwrite:
        raise FileExistsError(
            f'The output folder {out_dir} is not empty. Choose another one, '
            'or overwrite what is in it (--overwrite).'
        )
    require_writable_folder(out_dir)
    model = init_ddu(config, checkpoint, device, cfg_options, tta)
    scales = map_scales(model)
    manifest = describe(model, config, checkpoint, scales)
    manifest['tta'] = tta
    writer = MapWriter(
        out_dir, scales, model.dataset_meta.get('palette'), pictures
    )
    try:
        for name, path in track(list(files.items()), 'Exporting maps'):
            manifest['images'].append(export_one(model, writer, name, path))
        manifest['complete'] = True
    finally:
        rows = manifest['images']
        manifest['num_exported'] = sum('error' not in row for row in rows)
        manifest['num_skipped'] = sum('error' in row for row in rows)
        write_json(out_dir / MANIFEST, plain(manifest))
    return manifest


def export_one(
    model: nn.Module, writer: MapWriter, name: str, path: Path
) -> dict:
    """Predict and write one image; its row in the manifest."""
    try:
        check_image(path)
        data = prepare(model, path)
    except Exception as error:  # whatever a decoder makes of a damaged file
        reason = f'{type(error).__name__}: {error}'
        MMLogger.get_current_instance().warning(
            f'{path} cannot be read and is skipped: {reason}'
        )
        return dict(image=str(path), error=reason)
    with torch.no_grad():
        sample = model.test_step(data)[0]
    arrays = sample_maps(sample, model)
    classes = sample_classes(sample)
    row = dict(
        image=str(path),
        height=classes.shape[0],
        width=classes.shape[1],
        files=writer.write(name, path, classes, arrays),
    )
    for key, values in arrays.items():
        row[f'{key}_mean'] = float(values.mean())
        row[f'{key}_max'] = float(values.max())
        row[f'{key}_clipped'] = writer.scales[key].clipped_share(values)
    if 'percentile' in arrays:
        row['unusual_share'] = float((arrays['percentile'] > UNUSUAL).mean())
    return row


def describe(
    model: nn.Module,
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    scales: dict[str, Scale],
) -> dict:
    """The manifest before the first image."""
    meta = model.dataset_meta
    return dict(
        complete=False,
        maps={
            name: dict(
                unit=scale.unit,
                png_low=scale.low,
                png_high=scale.high,
                png='value = png_low + pixel / 65535 * (png_high - png_low); '
                'values outside are clipped',
            )
            for name, scale in scales.items()
        },
        unusual=f'unusual_share: pixels above percentile {UNUSUAL}',
        classes=list(meta.get('classes') or []),
        palette=list(meta.get('palette') or []),
        model=type(model).__name__,
        config=str(config),
        checkpoint=str(checkpoint),
        checkpoint_sha256=sha256(checkpoint),
        versions=versions(),
        images=[],
    )


def find_images(
    images: str | os.PathLike | Sequence[str | os.PathLike],
) -> dict[str, Path]:
    """Output name to file, for one image, a folder tree, or a list.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not isinstance(images, (str, os.PathLike)):
        files = [Path(image) for image in images]
        return dict(_names([Path(file.name) for file in files], files))
    path = Path(images)
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise FileNotFoundError(f'There is no image or folder {path}.')
    found = sorted(p for p in path.rglob('*') if p.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(
            f'There is no image in {path}; looked for {", ".join(SUFFIXES)}.'
        )
    relative = [file.relative_to(path) for file in found]
    return dict(_names(relative, found))


def _names(
    relative: list[Path], files: list[Path]
) -> Iterator[tuple[str, Path]]:
    """Names without suffix where that is unambiguous."""
    stems = Counter(file.with_suffix('') for file in relative)
    for name, file in zip(relative, files):
        stem = name.with_suffix('')
        yield str(name if stems[stem] > 1 else stem), file
