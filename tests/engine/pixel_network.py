"""A network whose feature of a pixel is the pixel itself."""

from __future__ import annotations

import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS as MMSEG_MODELS
from torch import nn

from mmseg_ddu.engine.labelled_windows import LabelledImage
from mmseg_ddu.registry import MODELS


@MMSEG_MODELS.register_module(force=True)
class PixelBackbone(nn.Module):
    """The image, and it again as a coarser map."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse = nn.AvgPool2d(2)

    def forward(self, images):
        return images, self.coarse(images)


def pixel_network(classes=3, test_cfg=None, **options):
    """A DDU segmentor whose classifier sees the channels of the image."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='mmseg_ddu.DDUEncoderDecoder',
            backbone=dict(type='PixelBackbone'),
            decode_head=dict(
                type='FCNHead',
                in_channels=3,
                channels=3,
                in_index=0,
                num_convs=0,
                concat_input=False,
                num_classes=classes,
                loss_decode=dict(type='CrossEntropyLoss'),
            ),
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
            gda_head=dict(dict(preset='ddu-paper'), **options),
        )
    )
    nn.init.normal_(model.decode_head.conv_seg.weight)
    return model.eval()


def drawn_image(index, classes=3, size=6, shift=2.0):
    """Classes around means of their own; one pixel is void."""
    rng = torch.Generator().manual_seed(index)
    labels = torch.randint(0, classes, (size, size), generator=rng)
    noise = torch.randn(1, 3, size, size, generator=rng)
    means = torch.arange(3 * classes).reshape(classes, 3) % 5
    pixels = noise + means[labels].movedim(2, 0) + shift
    labels[0, 0] = 255
    shape = (size, size)
    meta = dict(img_shape=shape, ori_shape=shape, padding_size=[0, 0, 0, 0])
    return LabelledImage(pixels, meta, labels)


def fit_all(fitter, images) -> dict:
    """All steps of a fit on images by number; the report."""
    for index, image in images.items():
        fitter.look(image, index)
    fitter.use_centers(fitter.find_centers())
    for index, image in images.items():
        if index not in fitter.held_out:
            fitter.update(image, index)
    fitter.synchronize()
    fitter.fit_others()
    for index in fitter.held_out:
        fitter.update(images[index], index)
    fitter.join()
    if fitter.fit_all():
        for index, image in images.items():
            fitter.maps.see(image, index)
    return fitter.finalize()
