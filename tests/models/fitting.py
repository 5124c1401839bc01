"""Models of the tests, fitted on noise."""

import torch
from mmseg.structures import SegDataSample

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.registry import MODELS


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
    fitter = DensityFitter(model, held_out=[0])

    def each(see):
        for index, image in enumerate(inputs.split(1)):
            for _, features in model.iter_features(image, metas(image)):
                height, width = features['logits'].shape[2:]
                labels = torch.arange(height * width) % model.num_classes
                see(features, labels.reshape(height, width), index)

    if fitter.mixtures:
        each(fitter.look)
        fitter.finish_look(fitter.looked)
    each(fitter.update)
    for index, image in enumerate(inputs.split(1)):
        fitter.add_image(image, index)
    fitter.finalize()
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
