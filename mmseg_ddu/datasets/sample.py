"""A small generated data set that tests both uncertainties.

Textured shapes on textured grounds, in VOC layout. Three ordinary classes;
two *twin* classes that look the same and are labelled either way at random,
which no network can tell apart (aleatoric); and, in the test split only,
stars with a texture that is never seen in training (epistemic), void in the
class mask and 1 in the out-of-distribution mask.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

CLASSES = ('ground', 'disc', 'square', 'triangle', 'twin_a', 'twin_b')
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
UNSEEN = 'star'
IMAGES, MASKS, OOD_MASKS = 'JPEGImages', 'SegmentationClass', 'OoDMask'
RECIPE = 'recipe.json'


@dataclass(frozen=True)
class SampleRecipe:
    """What determines every pixel of the sample.

    Attributes:
        train (int): Images in ``train.txt``.
        val (int): Images in ``val.txt``; no unseen objects.
        test (int): Images in ``test.txt``; one or two unseen objects each.
        size (int): Height and width.
        seed (int): Of everything.
    """

    train: int = 240
    val: int = 40
    test: int = 60
    size: int = 96
    seed: int = 0


def make_sample(
    root: str | os.PathLike, recipe: SampleRecipe | None = None
) -> Path:
    """Write the data set, or leave it alone if it is there already.

    The folder appears whole or not at all.

    Args:
        root (str): Folder of the data set.
        recipe (SampleRecipe, optional): What to draw.

    Returns:
        Path: ``root``.

    Raises:
        FileExistsError: If the folder holds something else.
    """
    recipe = recipe or SampleRecipe()
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
    temporary = Path(tempfile.mkdtemp(prefix='.tmp-', dir=root.parent))
    try:
        _write_all(temporary, recipe)
        temporary.chmod(0o755)
        if root.exists():
            root.rmdir()
        temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


def _write_all(root: Path, recipe: SampleRecipe) -> None:
    lists = root / 'ImageSets' / 'Segmentation'
    for folder in (root / IMAGES, root / MASKS, root / OOD_MASKS, lists):
        folder.mkdir(parents=True)
    splits = dict(train=recipe.train, val=recipe.val, test=recipe.test)
    names = [
        (split, f'{split}_{i:04d}', i)
        for split, count in splits.items()
        for i in range(count)
    ]
    for split, name, number in track(names, 'Drawing the sample'):
        split_number = list(splits).index(split)
        rng = np.random.default_rng([recipe.seed, split_number, number])
        image, mask, ood = draw(rng, recipe.size, unseen=split == 'test')
        Image.fromarray(image).save(root / IMAGES / f'{name}.jpg', quality=95)
        _save_mask(mask, root / MASKS / f'{name}.png')
        _save_mask(ood, root / OOD_MASKS / f'{name}.png')
    for split in splits:
        lines = [name for kind, name, _ in names if kind == split]
        (lists / f'{split}.txt').write_text('\n'.join(lines) + '\n')
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
        unseen (bool): Whether unseen objects appear.

    Returns:
        tuple: Image (size, size, 3) uint8 RGB; class mask and
        out-of-distribution mask (size, size) uint8.
    """
    image = _ground(rng, size)
    mask = np.zeros((size, size), np.uint8)
    ood = np.zeros_like(mask)
    kinds = list(
        rng.choice(
            ['disc', 'square', 'triangle', 'twin', 'twin'], rng.integers(2, 5)
        )
    )
    if unseen:
        # First, so that nothing covers them.
        kinds = [UNSEEN] * int(rng.integers(1, 3)) + kinds
    for kind in kinds:
        region = _shape(rng, size, kind) & (mask == 0)
        texture = _texture(rng, size, kind)
        image[region] = texture[region]
        if kind == UNSEEN:
            mask[region], ood[region] = VOID, 1
        else:
            name = str(rng.choice(TWINS)) if kind == 'twin' else kind
            mask[region] = CLASSES.index(name)
    light = rng.uniform(0.8, 1.2)
    image = image * light + rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8), mask, ood


def _shape(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    """A filled shape at a random place, (size, size) bool."""
    radius = size * rng.uniform(0.12, 0.2)
    center = rng.uniform(radius, size - radius, 2)
    sides = dict(disc=40, square=4, triangle=3, twin=6, star=10)[kind]
    angles = rng.uniform(0, 2 * np.pi) + np.arange(sides) * 2 * np.pi / sides
    radii = np.full(sides, radius)
    if kind == UNSEEN:
        radii[::2] *= 0.45
    points = center + radii[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], 1
    )
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [points.round().astype(np.int32)], 1)
    return canvas.astype(bool)


def _texture(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    """Texture of a kind of object, (size, size, 3) float."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    period = rng.uniform(7, 10)
    wave_u, wave_v = (np.sin(2 * np.pi * t / period) for t in (u, v))
    pattern, dark, bright = {
        'disc': (wave_u * wave_v > 0, (150, 40, 40), (235, 190, 180)),
        'square': (wave_u > 0, (30, 70, 140), (150, 190, 230)),
        'triangle': (wave_u + wave_v > 0.9, (40, 110, 50), (220, 230, 120)),
        'twin': (
            _noise(rng, size, 3)[..., 0] > 0,
            (90, 50, 110),
            (190, 130, 200),
        ),
        UNSEEN: (
            np.sin(np.pi * np.hypot(x - x.mean(), y - y.mean()) / 3) > 0,
            (20, 140, 150),
            (250, 150, 40),
        ),
    }[kind]
    shift = rng.normal(0, 10, 3)
    return np.where(pattern[..., None], bright, dark) + shift


def _ground(rng: np.random.Generator, size: int) -> np.ndarray:
    """Grey-brown noise, coarse, medium or fine, (size, size, 3) float."""
    grain = float(rng.choice([2.0, 5.0, 12.0]))
    base = rng.uniform(90, 160) + rng.normal(0, 8, 3)
    return base + 22 * _noise(rng, size, grain)


def _noise(rng: np.random.Generator, size: int, grain: float) -> np.ndarray:
    """Smooth noise of unit variance, (size, size, 1)."""
    noise = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), grain / 2)
    return ((noise - noise.mean()) / noise.std())[..., None]
