"""Do the features of a network keep the distances between images?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from mmseg_ddu.core.distances import (
    Feature,
    Flattest,
    band_noise,
    band_shares,
    distance_ratio,
    flattest_direction,
    hidden_change,
)
from mmseg_ddu.core.errors import require
from mmseg_ddu.core.taps import FeatureTap
from mmseg_ddu.fileio import require_writable_file, write_json
from mmseg_ddu.models.gda_head import PENULTIMATE
from mmseg_ddu.models.tapped_modules import tap_place
from mmseg_ddu.visualization.heatmap import to_bytes

from .image_sources import iter_sources
from .inference import init_fitted, prepare

RESULT = 'distances.json'
BANDS = 8
# Of a perturbation, in standard deviations of the images' pixels.
SMALL, VISIBLE = 1e-3, 0.15
DOUBLINGS = 3  # up to VISIBLE, from about one grey level of a photo


def check_distances(
    config: str | os.PathLike,
    checkpoint: str | os.PathLike,
    images: str | os.PathLike | Sequence,
    out_dir: str | os.PathLike,
    *,
    taps: Sequence[str] = (PENULTIMATE,),
    number: int = 4,
    size: int = 64,
    products: int = 1000,
    seed: int = 0,
    device: str | None = None,
    cfg_options: dict | None = None,
) -> dict:
    """Ratios ``‖f(x) - f(x')‖ / ‖x - x'‖`` of images and small changes.

    For each tap: how many values it has for each of the input (below one, no
    map can keep all distances); ratios of pairs of images; of noise of eight
    bands of spatial frequency (the claim to test is that of arXiv 2106.02469:
    a lower bound holds for low frequencies); and, for each image, a
    direction that the feature hardly sees, with the share of each band in
    it. For the first tap that direction is followed to a change that can be
    seen, and bent on the way so that the feature does not see it; ``out_dir``
    gets pictures of each image beside that copy, and ``distances.json``.

    Args:
        config (str): The config the network was trained with.
        checkpoint (str): A ``*_gda.pth`` file.
        images (str or list): What ``DDUInferencer`` takes; two or more.
        out_dir (str): Created if need be.
        taps (Sequence[str]): Features, named as in ``GDAHead``.
        number (int): Most images.
        size (int): Side of the square in their middle that is used.
        products (int): Most products with the Jacobian in the search of a
            direction, for each tap and image; 164 follow it.
        seed (int): Of the noise.
        device, cfg_options: As in :func:`.init_ddu`.

    Returns:
        dict: What ``distances.json`` has; images have standard deviation
        one, whatever the network gets. ``flattest`` says of each image
        whether its search converged; of the first tap it has the path as
        (size in standard deviations, ratio before and after bending), and
        the mean epistemic score of each image and of its copy.

    Raises:
        ValueError: If there are fewer than two images of the size, or the
            model has no density.
    """
    require(number >= 2, 'number of at least 2', number)
    require(size >= 2 * BANDS, f'size of at least {2 * BANDS}', size)
    out = Path(out_dir)
    require_writable_file(out / RESULT)
    model = init_fitted(config, checkpoint, device, cfg_options)
    inputs = _squares(model, images, number, size)
    if len(inputs) < 2:
        raise ValueError(
            f'Expected two images or more of at least {size} x {size} '
            f'pixels, but found {len(inputs)}; set size, or give more.'
        )
    # Networks get images of any unit; here their standard deviation is 1.
    unit = float(torch.cat([x.flatten() for x in inputs.values()]).std())
    inputs = {name: image / unit for name, image in inputs.items()}
    answers: dict = {}
    paths: dict[str, list] = {}
    scores: dict[str, list[float]] = {}
    # TF32 would be noise as large as the changes.
    with torch.backends.cudnn.flags(allow_tf32=False):
        for tap in taps:
            feature, title = _feature(model, tap, unit), f'Distances in {tap}'
            found = {
                name: flattest_direction(feature, image, products)
                for name, image in track(inputs.items(), title)
            }
            answers[tap] = _summary(feature, [*inputs.values()], found, seed)
            if tap == taps[0]:
                for name, image in inputs.items():
                    direction = found[name].direction
                    change, paths[name] = _follow(feature, image, direction)
                    both = unit * image, unit * (image + change)
                    scores[name] = _draw(model, both, out, name)
    answers[taps[0]]['flattest'].update(path=paths, scores=scores)
    write_json(out / RESULT, answers)
    return answers


def _squares(
    model: nn.Module, images: object, number: int, size: int
) -> dict[str, Tensor]:
    """Middles of images as the network gets them, (1, C, size, size)."""
    found: dict[str, Tensor] = {}
    for source in iter_sources(images):
        if len(found) == number:
            break
        if source.image is None:
            continue
        batch = prepare(model, source.image)
        image = model.data_preprocessor(batch)['inputs']
        top, left = ((n - size) // 2 for n in image.shape[2:])
        if min(top, left) >= 0:
            found[source.name] = image[
                ..., top : top + size, left : left + size
            ].float()
    return found


def _feature(model: nn.Module, tap: str, unit: float) -> Feature:
    """Image to feature; other modules run as they do in a prediction."""
    place = tap_place(model, tap)

    def feature(image: Tensor) -> Tensor:
        with FeatureTap({tap: place}) as found:
            model(unit * image, mode='tensor')
            return found[tap]

    return feature


def _follow(
    feature: Feature, image: Tensor, direction: Tensor
) -> tuple[Tensor, list[list[float]]]:
    """The change at the end, and of each step size and ratios."""
    root = image.numel() ** 0.5
    change = VISIBLE * root / 2**DOUBLINGS * direction
    path = []
    for doubled in range(DOUBLINGS + 1):
        change = change if not doubled else 2 * change
        before = distance_ratio(feature, image, image + change)
        change = hidden_change(feature, image, change)
        after = distance_ratio(feature, image, image + change)
        path.append([float(change.norm()) / root, before, after])
    return change, path


def _summary(
    feature: Feature,
    images: list[Tensor],
    found: dict[str, Flattest],
    seed: int,
) -> dict:
    length = SMALL * images[0].numel() ** 0.5

    def stretched(image: Tensor, band: int) -> float:
        noise = length * band_noise(image, band, BANDS, seed)
        return distance_ratio(feature, image, image + noise)

    pairs = [
        distance_ratio(feature, one, other)
        for i, one in enumerate(images)
        for other in images[:i]
    ]
    with torch.no_grad():
        values = feature(images[0]).numel() / images[0].numel()
    shares = [band_shares(one.direction, BANDS) for one in found.values()]
    return dict(
        values_per_input=values,
        pairs=dict(min=min(pairs), median=median(pairs), max=max(pairs)),
        bands=[median(stretched(x, b) for x in images) for b in range(BANDS)],
        flattest=dict(
            ratios={name: one.ratio for name, one in found.items()},
            converged={name: one.converged for name, one in found.items()},
            products={name: one.products for name, one in found.items()},
            bands=torch.stack(shares).mean(0).tolist(),
        ),
    )


@torch.no_grad()
def _draw(
    model: nn.Module, images: tuple[Tensor, Tensor], out: Path, name: str
) -> list[float]:
    """An image beside the copy that the feature hardly tells from it.

    The mean epistemic score of each is in the name of the file, and returned.
    """
    head, pictures, scores = model.gda_head, [], []
    feature = _feature(model, head.tap, 1.0)
    for shown in images:
        scores.append(float(head(feature(shown)).mean()))
        pictures.append(shown[0, :3].movedim(0, -1).cpu().numpy()[..., ::-1])
    pixels = to_bytes(np.concatenate(pictures, axis=1))
    file = f'{Path(name).name}_{scores[0]:.1f}_{scores[1]:.1f}.png'
    cv2.imwrite(str(out / file), pixels)
    return scores


def sentences(answers: dict) -> list[str]:
    """What the figures say, in words."""
    found = []
    for tap, figures in answers.items():
        values = figures['values_per_input']
        low, high = figures['bands'][0], figures['bands'][-1]
        found.append(
            f'{tap} has {values:.2g} values for each of the image'
            + (': it cannot keep all distances.' if values < 1 else '.')
        )
        pairs = figures['pairs']
        found.append(
            f'Between images it stretches by {pairs["min"]:.3g} to '
            f'{pairs["max"]:.3g}; noise of the lowest frequencies by '
            f'{low:.3g}, of the highest by {high:.3g}.'
        )
        flattest = figures['flattest']
        ratios, share = flattest['ratios'].values(), flattest['bands'][0]
        done = sum(flattest['converged'].values())
        found.append(
            f'The least it was found to stretch a small change of an image '
            f'is {min(ratios):.2g} ({done} of {len(ratios)} searches '
            f'converged); {share:.0%} of such changes are of the lowest '
            'frequencies.'
        )
        ends = [path[-1] for path in flattest.get('path', {}).values()]
        found += [
            f'A change of {size:.2g} standard deviations was bent until it is '
            f'stretched by {after:.2g}, before by {before:.2g}.'
            for size, before, after in ends
        ]
    return found
