"""Random images with labels, for what needs images but no content."""

from __future__ import annotations

import math

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

BLOCK, VOID = 16, 255


def drawn_images(
    count: int,
    size: tuple[int, int],
    num_classes: int,
    asked: tuple[int, int] | None = None,
) -> list[dict]:
    """Blocks of coloured noise, one colour a class, some labels void.

    Args:
        count (int): Images.
        size (tuple[int, int]): Height and width.
        num_classes (int): C.
        asked (tuple[int, int], optional): Size of the predictions, if it is
            not that of the image.

    Returns:
        list[dict]: Items as those of an mmseg data set.
    """
    rng = torch.Generator().manual_seed(0)
    colors = torch.randint(40, 215, (num_classes, 3), generator=rng)
    grid = [math.ceil(side / BLOCK) for side in size]
    items = []
    for _ in range(count):
        cells = torch.randint(num_classes, grid, generator=rng)
        labels = cells.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        labels = labels[: size[0], : size[1]].clone()
        noise = torch.randint(-40, 41, (3, *size), generator=rng)
        image = (colors[labels].movedim(-1, 0) + noise).to(torch.uint8)
        labels[:4] = VOID
        sample = SegDataSample(
            metainfo=dict(
                ori_shape=asked or size,
                img_shape=size,
                pad_shape=size,
                padding_size=[0, 0, 0, 0],
                img_path='random',
            )
        )
        sample.gt_sem_seg = PixelData(data=labels[None])
        items.append(dict(inputs=image, data_samples=sample))
    return items
