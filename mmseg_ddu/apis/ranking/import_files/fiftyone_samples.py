"""FiftyOne: a folder that ``fo.Dataset.from_dir`` reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mmseg_ddu.apis.ranking.ranked_image import RankedImage
from mmseg_ddu.apis.writers.file_format import png, save
from mmseg_ddu.fileio import require_writable_folder, write_json

from .import_file import IMPORTS, LOOK_HERE


@IMPORTS.register('fiftyone')
def write_fiftyone(
    where: Path, images: Sequence[RankedImage], classes: Sequence[str]
) -> list[Path]:
    """Samples with rank, score, predicted mask and region."""
    targets = {str(number): name for number, name in enumerate(classes)}
    require_writable_folder(where / 'masks')
    samples = []
    for rank, image in enumerate(images, 1):
        mask = where / 'masks' / f'{rank:06d}.png'
        save(mask, png(Image.fromarray(image.read_classes())))
        samples.append(_sample(rank, image, mask))
    files = [where / name for name in ('metadata.json', 'samples.json')]
    info = dict(default_mask_targets=targets)
    write_json(files[0], dict(media_type='image', info=info))
    write_json(files[1], dict(samples=samples))
    for mask in (where / 'masks').glob('*.png'):
        # What a run with a larger budget has left.
        if mask.stem.isdecimal() and int(mask.stem) > len(samples):
            mask.unlink()
    return [where]


def _sample(rank: int, image: RankedImage, mask: Path) -> dict[str, Any]:
    regions = []
    if image.box:
        height, width = image.size
        sides = (width, height) * 2
        region = dict(
            _cls='Detection',
            label=LOOK_HERE,
            bounding_box=[a / b for a, b in zip(image.box, sides)],
            labelled_as=image.label,
            predicted_as=image.predicted,
            kind=image.kind,
        )
        regions.append(region)
    mask_path = os.path.abspath(mask)
    return dict(
        filepath=os.path.abspath(image.image),
        tags=[image.kind] if image.kind else [],
        rank=rank,
        score=image.score,
        prediction=dict(_cls='Segmentation', mask_path=mask_path),
        region=dict(_cls='Detections', detections=regions),
    )
