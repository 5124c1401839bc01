"""The export of many images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mmengine.dist import get_dist_info
from mmengine.logging import MMLogger
from rich.progress import track
from torch import nn

from mmseg_ddu.apis.image_files import find_images
from mmseg_ddu.apis.inference import init_ddu, require_bare_images
from mmseg_ddu.apis.writers import MapWriter
from mmseg_ddu.apis.writers.file_format import choose_formats
from mmseg_ddu.apis.writers.own_formats import ABSTAIN
from mmseg_ddu.engine.build import read_config
from mmseg_ddu.engine.checkpoint import digest, plain, weights_digest
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.fitting_data import evaluation_pipeline, image_suffix
from mmseg_ddu.engine.ranks import on_main, patient_group, wait_for_all
from mmseg_ddu.engine.stopping import Interrupted, StopRequest
from mmseg_ddu.engine.tta_pipeline import tta_pipeline
from mmseg_ddu.fileio import (
    LOCK,
    TEMPORARY,
    alone_at,
    require_writable_file,
    require_writable_folder,
    sha256,
)
from mmseg_ddu.models.abstention import refuses
from mmseg_ddu.visualization.prediction import map_scales, require_8_bits

from .journal import JOURNAL, MANIFEST, Journal, has_record, is_disk_full
from .one_image import UNUSUAL, export_one

MAX_PIXELS = 64_000_000
PNG = (
    'value = png_low + pixel / 65535 * (png_high - png_low); values outside '
    'are clipped'
)


def export(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    images: str | os.PathLike | Sequence[str | os.PathLike],
    out_dir: str | os.PathLike,
    *,
    device: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    formats: Sequence[str] | None = None,
    pictures: bool = True,
    max_pixels: int = MAX_PIXELS,
    cfg_options: dict | None = None,
    tta: bool = False,
) -> dict:
    """Predict images and write their maps.

    ``out_dir`` gets ``class/``, a folder for each map and, with fitted
    densities, for its percentiles among training pixels, ``overlay/`` and
    ``manifest.json`` with units, scales and a row per image.

    An image that cannot be used is listed in the manifest and skipped. After
    Ctrl-C or SIGTERM the manifest lists what was done, with ``complete:
    false``. Processes of a launcher share the images.

    Args:
        config (str): The config the network was trained with.
        checkpoint (str): A ``*_gda.pth`` file.
        images (str or list): An image, a folder that is searched for
            images, or a list of images.
        out_dir (str): Created if need be.
        overwrite (bool): Write into a folder that is not empty.
        resume (bool): Go on with an export that was stopped: images that are
            done and whole are not predicted again.
        formats (Sequence[str], optional): Of ``npy``, ``png16``, ``heat``,
            ``overlay`` and those added in ``mmseg_ddu/apis/writers``; all by
            default. Classes are always written.
        pictures (bool): Also write heat maps and overlays.
        max_pixels (int): Larger images are not read.
        device, cfg_options, tta: As in :func:`init_ddu`.

    Returns:
        dict: The manifest.

    Raises:
        FileNotFoundError: If there is no image.
        FileExistsError: If ``out_dir`` is not empty.
        ValueError: If the export to resume had other settings, or there is
            no such format.
        BlockingIOError: If another process is at work in ``out_dir``.
        OSError: If the outputs cannot be written.
    """
    if overwrite and resume:
        raise ValueError('Expected overwrite or resume, but got both.')
    if max_pixels < 1:
        raise ValueError(f'Expected max_pixels above 0, but got {max_pixels}.')
    formats = choose_formats(formats, pictures)
    group = patient_group()  # one process may have the large images
    out_dir = Path(out_dir)
    cfg = read_config(config, cfg_options)
    where = images, image_suffix(cfg), out_dir, overwrite, resume
    with ExitStack() as held:
        files = on_main(_begin, held, *where, group=group)
        model = init_ddu(cfg, checkpoint, device, tta=tta)
        require_bare_images(model)
        require_8_bits(model)
        if refuses(model):
            formats = sorted({*formats, ABSTAIN})
        palette = model.dataset_meta.get('palette')
        writer = MapWriter(out_dir, map_scales(model), palette, formats)
        given = str(config), str(checkpoint), tta, max_pixels
        journal = Journal(_header(model, writer, *given), files, writer)
        todo = on_main(journal.begin, resume, group=group)
        _export_share(model, journal, todo, group)
        manifest = on_main(journal.finish, group=group)
    if not manifest['complete']:  # there was no room for it
        raise _disk_full(writer, len(todo))
    return manifest


def _header(
    model: nn.Module, writer: MapWriter, config, checkpoint, tta, max_pixels
) -> dict:
    """All that determines the maps, and how to read them."""
    meta, cfg = model.dataset_meta, model.cfg
    steps = tta_pipeline(cfg) if tta else evaluation_pipeline(cfg)
    scales = {
        name: dict(unit=s.unit, png_low=s.low, png_high=s.high, png=PNG)
        for name, s in writer.scales.items()
    }
    header = dict(
        maps=scales,
        unusual='unusual_share: pixels whose percentile of the total '
        f'uncertainty is above {UNUSUAL}',
        classes=meta.get('classes') or [],
        palette=meta.get('palette') or [],
        model=type(model).__name__,
        config=config,
        # Of the network and of what is done to images.
        config_sha256=digest([cfg.model, steps], 64),
        checkpoint=checkpoint,
        checkpoint_sha256=sha256(checkpoint),
        # Without thresholds of abstention, which change no score.
        weights_sha256=weights_digest(checkpoint),
        tta=tta,
        abstention=model.checkpoint_meta.get('abstention'),
        formats=list(writer.formats),
        max_pixels=max_pixels,
        versions=versions(),
    )
    return plain(header)


def _export_share(
    model: nn.Module, journal: Journal, todo: list[tuple[str, Path]], group
) -> None:
    """Export the images of this process, then wait for the others."""
    rank, world = get_dist_info()
    writer, limit = journal.writer, journal.header['max_pixels']
    try:
        with StopRequest() as stop, journal:
            share = todo[rank::world]
            for image in track(share, 'Exporting maps', disable=rank > 0):
                journal.append(export_one(model, writer, *image, limit))
                if stop.made:
                    raise Interrupted
            wait_for_all(group)
    except BaseException as error:
        # It ends its own process without waiting for the others: the
        # launcher ends those.
        done = _close(journal) if rank == 0 else ''
        if isinstance(error, Interrupted):
            raise Interrupted(done) from None
        if done:
            MMLogger.get_current_instance().warning(done)
        if is_disk_full(error):
            raise _disk_full(writer, len(todo)) from error
        raise


def _begin(
    held: ExitStack,
    images,
    suffix: str | None,
    out_dir: Path,
    overwrite: bool,
    resume: bool,
) -> dict[str, Path]:
    """Output name to image, when nobody else may write into the folder."""
    one = isinstance(images, (str, os.PathLike))
    if one and os.path.realpath(images) == os.path.realpath(out_dir):
        raise ValueError(
            f'Expected an output folder beside the images, but {out_dir} is '
            'the folder of images itself.'
        )
    files = find_images(images, out_dir, suffix)
    require_writable_folder(out_dir)
    begun = has_record(out_dir)
    used = any(
        not path.name.startswith((LOCK, TEMPORARY))
        for path in out_dir.iterdir()
    )
    if overwrite or begun or not used:  # else nothing is written, no lock too
        held.enter_context(alone_at(out_dir))
    if used and not (overwrite or (resume and begun)):
        why = ', and no export was begun in it that could be resumed'
        how = ', go on with an export that was stopped (--resume),'
        raise FileExistsError(
            f'The output folder {out_dir} is not empty{why if resume else ""}.'
            f' Choose another one{"" if resume else how} or overwrite what is '
            'in it (--overwrite).'
        )
    require_writable_file(out_dir / MANIFEST)
    return files


def _close(journal: Journal) -> str:
    """Write the manifest of an export that was stopped; what is saved."""
    try:
        done = len(journal.finish()['images'])
    except OSError as error:
        return (
            f'{MANIFEST} cannot be written ({error}); {JOURNAL} holds the '
            'same rows.'
        )
    return (
        f'Stopped after {done} of {len(journal.files)} images; the same '
        'command with --resume goes on.'
    )


def _disk_full(writer: MapWriter, images: int) -> OSError:
    """The error, with a guess at what is needed."""
    left = images - writer.images_written
    size = writer.bytes_written / max(1, writer.images_written)
    return OSError(
        f'The disk of {writer.out_dir} is full. What is there is whole. Up to '
        f'{left:,} images are left, which need about {left * size / 1e6:,.0f} '
        'MB: free as much, then run the same command with --resume.'
    )
