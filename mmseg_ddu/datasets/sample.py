"""A small generated data set that tests both uncertainties.

Fields seen from above, in VOC layout, borders void. Four ordinary classes;
two *twin* classes that look the same and are labelled either way at random,
which no network can tell apart (aleatoric); and, in the test split only, a
star or a cross of colours and patterns that are never seen in training
(epistemic), void in the class mask and 1 in the out-of-distribution mask.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

CLASSES = ('grass', 'brick', 'water', 'sand', 'twin_a', 'twin_b')
TWINS = ('twin_a', 'twin_b')
PALETTE = [
    [40, 40, 40],
    [214, 69, 65],
    [63, 127, 191],
    [77, 175, 74],
    [152, 78, 163],
    [255, 160, 40],
]
VOID = 255
KNOWN = ('grass', 'brick', 'water', 'sand', 'twin', 'twin')
UNSEEN = ('star', 'cross')
COLORS = dict(
    grass=((50, 90, 30), (120, 170, 70)),
    brick=((140, 30, 30), (220, 120, 100)),
    water=((20, 60, 140), (100, 150, 220)),
    sand=((120, 90, 20), (245, 225, 90)),
    twin=((80, 30, 110), (180, 100, 200)),
    star=((25, 25, 25), (245, 245, 245)),
    cross=((25, 25, 25), (245, 245, 245)),
)
# The more a class varies, the lower its density: the twins are in between.
VARIETY = dict(grass=0.3, brick=0.3, water=2, sand=2, twin=0.7)
IMAGES, MASKS, OOD_MASKS = 'JPEGImages', 'SegmentationClass', 'OoDMask'
RECIPE = 'recipe.json'


@dataclass(frozen=True)
class SampleRecipe:
    """What determines every pixel of the sample.

    Attributes:
        train (int): Images in ``train.txt``.
        val (int): Images in ``val.txt``; no unseen objects.
        test (int): Images in ``test.txt``; an unseen object each.
        size (int): Height and width.
        seed (int): Of everything.
    """

    train: int = 320
    val: int = 40
    test: int = 60
    size: int = 96
    seed: int = 0


DEFAULT = SampleRecipe()


def make_sample(
    root: str | os.PathLike, recipe: SampleRecipe = DEFAULT
) -> Path:
    """Write the data set, or leave it alone if it is there already.

    The folder appears whole or not at all.

    Args:
        root (str): Folder of the data set.
        recipe (SampleRecipe): What to draw.

    Returns:
        Path: ``root``.

    Raises:
        FileExistsError: If the folder holds something else.
    """
    root = Path(root)
    if (root / RECIPE).is_file():
        if json.loads((root / RECIPE).read_text()) == asdict(recipe):
            return root
        raise FileExistsError(
            f'{root} holds a sample drawn by another recipe; remove it, or '
            'choose another folder.'
        )
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f'{root} is not empty; choose another folder.')
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix='.tmp-', dir=root.parent
    ) as temporary:
        whole = Path(temporary) / root.name
        _write_all(whole, recipe)
        whole.replace(root)
    return root


def _write_all(root: Path, recipe: SampleRecipe) -> None:
    lists = root / 'ImageSets' / 'Segmentation'
    for folder in (root / IMAGES, root / MASKS, root / OOD_MASKS, lists):
        folder.mkdir(parents=True)
    for place, split in enumerate(('train', 'val', 'test')):
        names = [f'{split}_{i:04d}' for i in range(getattr(recipe, split))]
        (lists / f'{split}.txt').write_text('\n'.join(names) + '\n')
        for number, name in enumerate(track(names, f'Drawing {split}')):
            rng = np.random.default_rng([recipe.seed, place, number])
            image, mask, ood = draw(rng, recipe.size, unseen=split == 'test')
            path = root / IMAGES / f'{name}.jpg'
            Image.fromarray(image).save(path, quality=95)
            _save_mask(mask, root / MASKS / f'{name}.png')
            _save_mask(ood, root / OOD_MASKS / f'{name}.png')
    (root / RECIPE).write_text(json.dumps(asdict(recipe)) + '\n')


def _save_mask(mask: np.ndarray, path: Path) -> None:
    image = Image.fromarray(mask, mode='P')
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(PALETTE)] = PALETTE
    colors[VOID] = 255
    image.putpalette(colors.ravel().tolist())
    image.save(path)


def draw(
    rng: np.random.Generator, size: int, unseen: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One image with its masks.

    Args:
        rng (np.random.Generator): Source of all choices.
        size (int): Height and width.
        unseen (bool): Whether an unseen object lies on the fields.

    Returns:
        tuple: Image (size, size, 3) uint8 RGB; class mask and
        out-of-distribution mask (size, size) uint8.
    """
    image = np.zeros((size, size, 3))
    mask = np.zeros((size, size), np.uint8)
    ood = np.zeros_like(mask)
    fields = _fields(rng, size)
    for field in range(fields.max() + 1):
        kind = str(rng.choice(KNOWN))
        name = str(rng.choice(TWINS)) if kind == 'twin' else kind
        image[fields == field] = _texture(rng, size, kind)[fields == field]
        mask[fields == field] = CLASSES.index(name)
    if unseen:
        kind = str(rng.choice(UNSEEN))
        region = _shape(rng, size, kind)
        image[region] = _texture(rng, size, kind)[region]
        mask[region], ood[region] = VOID, 1
    border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    mask[border] = ood[border] = VOID
    image = image * rng.uniform(0.85, 1.15) + rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8), mask, ood


def _fields(rng: np.random.Generator, size: int) -> np.ndarray:
    """Which of two or three points is nearest, (size, size) int."""
    y, x = np.mgrid[:size, :size]
    points = rng.uniform(0, size, (rng.integers(2, 4), 2))
    return np.argmin([np.hypot(y - p, x - q) for p, q in points], axis=0)


def _shape(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    """A star or a cross at a random place, (size, size) bool."""
    radius = size * rng.uniform(0.2, 0.3)
    center = rng.uniform(0.8 * radius, size - 0.8 * radius, 2)
    corners = dict(star=[1, 0.6] * 5, cross=[0.5, 1, 1] * 4)[kind]
    angles = np.linspace(0, 2 * np.pi, len(corners), endpoint=False)
    angles += rng.uniform(0, 2 * np.pi)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = center + radius * np.c_[corners] * circle
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [points.round().astype(np.int32)], 1)
    return canvas.astype(bool)


def _texture(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    """Dark and bright in a pattern, (size, size, 3) float."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    variety = VARIETY.get(kind, 1)
    period = 8 + variety * rng.uniform(-1, 1)
    wave_u, wave_v = (np.sin(2 * np.pi * t / period) for t in (u, v))
    if kind in ('grass', 'water'):
        pattern = _noise(rng, size, period / 3)
    else:
        pattern = dict(
            brick=wave_u * wave_v,
            sand=wave_u + wave_v - 0.7,
            twin=wave_u,
            star=np.sin(np.pi * np.hypot(x - x.mean(), y - y.mean()) / 3),
            cross=wave_u * wave_v,
        )[kind]
    dark, bright = np.array(COLORS[kind]) + variety * rng.normal(0, 8, 3)
    return dark + (0.5 + 3 * pattern).clip(0, 1)[..., None] * (bright - dark)


def _noise(rng: np.random.Generator, size: int, grain: float) -> np.ndarray:
    """Smooth noise of unit variance, (size, size)."""
    noise = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), grain / 2)
    return (noise - noise.mean()) / noise.std()
