"""Models of the tests, fitted on noise."""

import torch
from mmseg.structures import SegDataSample

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.labelled_windows import LabelledImage
from mmseg_ddu.registry import MODELS
from tests.engine.pixel_network import fit_all


def build(cfg, kind='mmseg_ddu.DDUEncoderDecoder', **options):
    model = dict(cfg.model, type=kind, **options)
    if 'DDU' not in kind:
        model.pop('gda_head', None)
    return MODELS.build(model).eval()


def fit(model, images=4, size=48):
    """Random densities that see real features of the network."""
    channels = model.image_novelty.channels
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(images, channels, size, size, generator=rng)
    for head in model.heads.values():
        head.density.reg_covar = 1e-2
    labels = torch.arange(size * size) // 2 % model.num_classes
    pictures = {
        index: LabelledImage(
            image, metas(image)[0], labels.reshape(size, size)
        )
        for index, image in enumerate(inputs.split(1))
    }
    fit_all(DensityFitter(model, held_out=[0]), pictures)
    return model


def metas(inputs):
    size = tuple(inputs.shape[2:])
    return [
        dict(ori_shape=size, img_shape=size, pad_shape=size)
        for _ in range(len(inputs))
    ]


def samples(inputs, **changes):
    result = []
    for meta in metas(inputs):
        sample = SegDataSample()
        sample.set_metainfo({**meta, **changes})
        result.append(sample)
    return result


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)
