"""Five kinds of label errors, put into labels of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from rich.progress import track
from torch.utils.data import Dataset

VOID = 255
LEAST, MOST = 0.005, 0.3  # size of an object, as a share of the image
CHANGED = 0.003  # least share of the pixels that an error changes
SHARE = 0.05  # of the images, for each kind

Rng = np.random.Generator


def objects(labels: np.ndarray) -> list[np.ndarray]:
    """Connected pixels of one class, (H, W) bool, neither tiny nor huge."""
    found = []
    for number in np.unique(labels[labels != VOID]):
        mask = (labels == number).astype(np.uint8)
        count, parts = cv2.connectedComponents(mask)
        found += [parts == part for part in range(1, count)]
    return [x for x in found if LEAST <= x.mean() <= MOST]


def swap(labels, rng: Rng, other, classes: int) -> np.ndarray | None:
    """An object has the name of another class."""
    return _with_object(
        labels,
        rng,
        lambda old, mask: (old + rng.integers(1, classes)) % classes,
    )


def drop(labels, rng: Rng, other, classes: int) -> np.ndarray | None:
    """An object is missing: what is around it goes on."""

    def around(old, mask):
        wide = _grown(mask, 7) & ~mask
        beside = labels[wide & (labels != VOID) & (labels != old)]
        return np.bincount(beside).argmax() if len(beside) else None

    return _with_object(labels, rng, around)


def shift(labels, rng: Rng, other, classes: int) -> np.ndarray | None:
    """The whole mask lies beside the image by 4 to 8% of its height."""
    angle = rng.uniform(0, 2 * np.pi)
    far = rng.uniform(0.04, 0.08) * len(labels)
    x, y = far * np.cos(angle), far * np.sin(angle)
    return cv2.warpAffine(
        labels,
        np.float32([[1, 0, x], [0, 1, y]]),
        labels.shape[::-1],
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REPLICATE,
    )


def coarse(labels, rng: Rng, other, classes: int) -> np.ndarray | None:
    """An object's border is drawn too far out, by 3% of the height."""
    chosen = _chosen(labels, rng)
    if chosen is None:
        return None
    wide = _grown(chosen, max(3, round(0.06 * len(labels)) | 1))
    return np.where(wide, labels[chosen][0], labels)


def add(labels, rng: Rng, other, classes: int) -> np.ndarray | None:
    """There is an object that is none: one of another image."""
    size = labels.shape[::-1]
    donor = cv2.resize(other, size, interpolation=cv2.INTER_NEAREST)
    chosen = _chosen(donor, rng)
    if chosen is None:
        return None
    return np.where(chosen, donor[chosen][0], labels)


KINDS: dict[str, Callable] = {
    each.__name__: each for each in (swap, drop, shift, coarse, add)
}


def spoil(
    every: Sequence[np.ndarray], classes: int, seed: int
) -> dict[int, tuple[str, np.ndarray]]:
    """Image to the kind of error and its spoiled labels.

    Each kind goes into a share of the images, no image has two. Void pixels
    stay void. Images in which an error would hardly be one are passed over.
    """
    rng = np.random.default_rng([7, seed])
    order = rng.permutation(len(every)).tolist()
    found: dict[int, tuple[str, np.ndarray]] = {}
    for kind, change in KINDS.items():
        left = round(SHARE * len(every))
        for index in list(order):
            if not left:
                break
            labels = every[index]
            other = every[int(rng.integers(len(every)))]
            changed = change(labels, rng, other, classes)
            if changed is None:
                continue
            # Only where there was a label, and is one.
            known = (labels != VOID) & (changed != VOID)
            spoiled = np.where(known, changed, labels).astype(np.uint8)
            if (spoiled != labels).mean() >= CHANGED:
                found[index] = kind, spoiled
                order.remove(index)
                left -= 1
    return found


def spoil_dataset(
    dataset: Dataset, seeds: int
) -> list[dict[int, tuple[str, np.ndarray]]]:
    """The same for the labels of a data set of mmseg, with each seed."""
    every = [
        dataset[index]['data_samples'].gt_sem_seg.data[0].numpy()
        for index in track(range(len(dataset)), 'Labels')
    ]
    every = [labels.astype(np.uint8) for labels in every]
    classes = len(dataset.metainfo['classes'])
    return [
        spoil(every, classes, seed)
        for seed in track(range(seeds), 'Spoiling labels')
    ]


def _chosen(labels: np.ndarray, rng: Rng) -> np.ndarray | None:
    there = objects(labels)
    return there[int(rng.integers(len(there)))] if there else None


def _with_object(labels, rng: Rng, name: Callable) -> np.ndarray | None:
    chosen = _chosen(labels, rng)
    if chosen is None:
        return None
    value = name(int(labels[chosen][0]), chosen)
    return None if value is None else np.where(chosen, value, labels)


def _grown(mask: np.ndarray, width: int) -> np.ndarray:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0
