"""Exported images of two networks: ordinary, and after a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.proof.networks import NETWORKS, files
from mmseg_ddu.apis import export
from mmseg_ddu.datasets import SHIFTS
from mmseg_ddu.fileio import atomic_write

# Data set to where its ordinary images lie, and their list.
PLACES = {
    'voc21': ('voc21/JPEGImages', 'voc21/ImageSets/Segmentation/val.txt'),
    'camvid': ('camvid/images/test', None),
}
STREAMS = {
    'voc21': 'deeplabv3_mnv2_voc21',
    'camvid': 'cgnet_camvid11',
}
PLAIN = 'plain'


def dusk(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A third of the light, and that bluish; BGR."""
    return (image * (0.45, 0.33, 0.28)).astype(np.uint8)


def kinds() -> dict[str, Callable]:
    """What the images are changed into."""
    return {
        PLAIN: lambda image, rng: image,
        'noise': SHIFTS['noisy'].function,
        'faint_noise': lambda image, rng: SHIFTS['noisy'].function(
            image, rng, sigma=10.0
        ),
        'jpeg': SHIFTS['jpeg'].function,
        'dusk': dusk,
    }


def images(data: Path, name: str) -> list[Path]:
    """The ordinary images of a data set that no network was fitted on."""
    folder, names = PLACES[name]
    found = sorted((data / folder).glob('*.jpg'))
    if names:
        listed = (data / names).read_text().split()
        found = [path for path in found if path.stem in listed]
    return found


def manifests(args, name: str) -> dict[str, Path]:
    """Kind of images to the folder of their export, each made once.

    Args:
        args: Of the command line: folders, and how many images.
        name (str): Of ``STREAMS``.
    """
    network = NETWORKS[STREAMS[name]]
    config, _ = files(network, args.networks, args.weights, args.data)
    fitted = args.fits / f'{STREAMS[name]}_0_gda.pth'
    found = {}
    for kind, change in kinds().items():
        most = args.plain if kind == PLAIN else args.shifted
        found[kind] = _exported(
            args.runs / name / kind,
            (config, fitted),
            spread(images(args.data, name), most),
            change,
        )
    other = next(each for each in STREAMS if each != name)
    paths = spread(images(args.data, other), args.shifted)
    found['other_data'] = _exported(
        args.runs / name / 'other_data',
        (config, fitted),
        paths,
        kinds()[PLAIN],
    )
    return found


def spread(paths: list[Path], most: int) -> list[Path]:
    """At most so many, evenly from all."""
    places = np.linspace(0, len(paths) - 1, min(most, len(paths)))
    return [paths[int(place)] for place in places.round()]


def _exported(folder: Path, model, paths: list[Path], change) -> Path:
    maps, photos = folder / 'maps', folder / 'photos'
    photos.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        photo = photos / f'{path.stem}.png'
        if not photo.exists():
            rng = np.random.default_rng(number)
            with atomic_write(photo) as temporary:
                cv2.imwrite(str(temporary), change(cv2.imread(str(path)), rng))
    export(*model, photos, maps, formats=(), resume=True)
    return maps
