"""One card for one network, from its held-out labelled images alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config
from rich.progress import track
from torch import nn
from torch.utils.data import Dataset

from mmseg_ddu.apis.compare.results_file import strict
from mmseg_ddu.apis.inference import init_fitted
from mmseg_ddu.apis.kept_parts import Part, file_stamp, kept, parts_folder
from mmseg_ddu.apis.unseen_images import (
    built_images,
    dataset_config,
    files_of,
    labelled_item,
    trained_on,
)
from mmseg_ddu.datasets.image_shifts import FAINT, SHIFTS
from mmseg_ddu.datasets.shifts import shifted
from mmseg_ddu.engine.fitting_data import image_names, seeded_order
from mmseg_ddu.engine.safe_load import safe_loading
from mmseg_ddu.fileio import require_writable_file, sha256
from mmseg_ddu.models.map_names import MAPS

from .card import DATA, PAGE, write_card
from .error_figures import column, error_figures, numbers
from .gaussian_fit import fit_figures
from .image_parts import PIXELS, measure_fit, measure_image, measure_pasted
from .over_images import Value, draws, share_of
from .sentences import sentences
from .strangeness_figures import (
    PREFIX_OF_FAINT,
    pasted_figures,
    shift_figures,
)
from .whole_and_slide import measure_modes, mode_figures

IMAGES, SHIFT_IMAGES = 40, 12


@safe_loading()
def check_model(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    images: int = IMAGES,
    shift_images: int = SHIFT_IMAGES,
    seed: int = 0,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Measure what the maps of a fitted model are worth; write a card.

    The images are a seeded choice of the config's validation images, else of
    its test images. What was measured of an image is kept in
    ``out_dir/parts``, so a stopped check goes on where it was.

    Args:
        config (str or Config): The config the network was trained with.
        checkpoint (str): A ``*_gda.pth`` file.
        out_dir (str): For ``card.html``, ``card.json`` and the parts.
        images (int): Most plain images.
        shift_images (int): How many of them are shifted, in each way, and
            predicted whole and in windows.
        seed (int): Of images, pixels and resamples.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        dict: The content of ``card.json``.

    Raises:
        NotFittedError: If the checkpoint holds no fitted densities.
        ValueError: If the images have no labels, or only void, are fewer
            than two, or ``out_dir`` holds the check of something else.
    """
    model = init_fitted(config, checkpoint, device, cfg_options)
    split = 'test' if model.cfg.get('val_dataloader') is None else 'val'
    images_config = dataset_config(model, split)
    dataset = built_images(model, images_config)
    order = seeded_order(len(dataset), seed)[: max(images, 0)]
    if len(order) < 2:
        raise ValueError(
            f'Expected two images or more, but got {len(order)}: a figure of '
            'one image says nothing about the next. Add labelled images, or '
            'raise --images.'
        )
    folder = Path(out_dir)
    for name in (PAGE, DATA):
        require_writable_file(folder / name)
    parts = _parts_folder(folder, checkpoint, model, images_config, seed)
    card = measure(
        model, dataset, images_config, order, shift_images, parts, seed
    )
    card['data'] = (
        f'{len(order)} of {len(dataset)} images of {split}_dataloader'
    )
    names = image_names(dataset)
    chosen = [names[i] for i in order] if names else []
    card['trained_on'] = len(trained_on(model.cfg, chosen))
    card['checkpoint'] = Path(checkpoint).name
    card['sentences'] = sentences(card)
    card = strict(card)
    write_card(folder, card)
    return card


def _parts_folder(
    folder: Path,
    checkpoint: str | os.PathLike,
    model: nn.Module,
    images_config: dict,
    seed: int,
) -> Path:
    """Where the parts of this very check are; says if there are others."""
    told = repr((model.cfg.model, images_config)).encode()
    setting = dict(
        checkpoint=sha256(checkpoint),
        config=hashlib.sha256(told).hexdigest(),
        seed=seed,
        pixels=PIXELS,
    )
    other = (
        f'{folder} holds the check of another checkpoint, config or seed. '
        'Choose another --out, or delete that folder.'
    )
    return parts_folder(folder / 'parts', setting, other)


def measure(
    model: nn.Module,
    dataset: Dataset,
    images_config: dict,
    order: Sequence[int],
    shift_images: int,
    folder: Path,
    seed: int,
) -> dict:
    """All figures of the card."""
    donors = dict(zip(order, [*order[1:], *order[:1]]))
    # Parts are of files as they are now, the donor of the patch among them.
    files = {image: files_of(dataset, image) for image in order}
    stamps = {
        image: file_stamp(*files[image], *files[donor])
        for image, donor in donors.items()
    }

    def named(one: Callable[[int], Part], image: int) -> Part:
        try:
            return one(image)
        except ValueError as error:
            name = files[image][0] or f'image {image}'
            raise ValueError(f'{name}: {error}') from error

    def of_images(
        name: str, text: str, which: Sequence[int], one: Callable[[int], Part]
    ) -> list[Part]:
        return [
            kept(
                folder / f'{name}_{image:06d}_{stamps[image]}.npz',
                partial(named, one, image),
            )
            for image in track(which, text)
        ]

    def by(
        function: Callable[[nn.Module, dict, int], Part], data: Dataset
    ) -> Callable[[int], Part]:
        return lambda image: function(
            model, labelled_item(data, image), seed + image
        )

    def with_patch(image: int) -> Part:
        pair = (labelled_item(dataset, i) for i in (image, donors[image]))
        return measure_pasted(model, *pair, seed + image)

    plain = of_images('plain', 'Errors', order, by(measure_image, dataset))
    _require_labels(plain)
    some = order[: max(2, shift_images)]
    moved = {}
    for name, (kind, options) in strengths().items():
        data = built_images(model, shifted(images_config, kind, **options))
        one = by(measure_image, data)
        moved[name] = of_images(name, f'Shift: {name}', some, one)
    pasted = of_images('pasted', 'Pasted patches', order, with_patch)
    fit_of, modes_of = by(measure_fit, dataset), by(measure_modes, dataset)
    vectors = of_images('fit', 'Fit of the Gaussians', order, fit_of)
    modes = of_images('modes', 'Whole and sliding', some, modes_of)
    labels = {int(label) for part in plain for label in part['seen']}
    classes = list(dataset.metainfo['classes'])
    fit = model.checkpoint_meta['gda']
    return dict(
        errors=error_figures(plain, seed),
        shifts=shift_figures(plain[: len(some)], moved, seed),
        pasted=pasted_figures(pasted, seed),
        fit=fit_figures(model, vectors, classes, fit, seed),
        modes=mode_figures(modes, model.test_cfg.get('mode', 'whole'), seed),
        above_95=above_95(model, plain, seed),
        never_seen=[c for i, c in enumerate(classes) if i not in labels],
        temperature=bool(model.scaled),
    )


def strengths() -> dict[str, tuple[str, dict]]:
    """Name of a shift to its kind and options: all kinds, then faint ones."""
    return {
        **{kind: (kind, {}) for kind in SHIFTS},
        **{PREFIX_OF_FAINT + kind: (kind, FAINT[kind]) for kind in FAINT},
    }


def _require_labels(parts: Sequence[Part]) -> None:
    if not any(part['known'].any() for part in parts):
        raise ValueError(
            'All labels of the images are void, so no pixel is known to be '
            'right or wrong. Choose other images, or correct the labels '
            '(reduce_zero_label, ignore_index).'
        )


def above_95(
    model: nn.Module, parts: Sequence[Part], seed: int
) -> dict[str, Value]:
    """Map to the share of labelled pixels above the 95th percentile."""
    times = draws(len(parts), seed)
    known, images = column(parts, 'known'), numbers(parts)
    device = model.gda_head.fitted.device
    found = {}
    for name in MAPS:
        values = column(parts, name)[known].to(device)
        high = model.percentile(name, values).cpu() > 0.95
        found[name] = share_of(high, images[known], times)
    return found
