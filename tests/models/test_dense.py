"""The dense path equals the engine, for every preset."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_ddu.apis import fit_gda, init_ddu
from mmseg_ddu.core import NotFittedError
from mmseg_ddu.models.dense import DenseSegmentor
from mmseg_ddu.models.presets import PRESETS

KINDS = {name: dict(views=name) for name in PRESETS}
KINDS['rank'] = dict(views='ddu-paper', rank=5)
KINDS['diag'] = dict(views='class-polar', covariance_type='diag')
KINDS['deep'] = dict(
    views=[
        dict(tap='penultimate', transform='raw', standardize=True),
        dict(tap='backbone[2]', transform='direction', region_weight=0.5),
    ]
)


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp('kept')


@pytest.fixture
def fitted(kept, plain_cfg, checkpoint):
    """A fitted model by the name of its head; each made once."""

    def build(name):
        weights = kept / f'{name}.pth'
        if not weights.is_file():
            fit_gda(plain_cfg, checkpoint, out=weights, gda_head=KINDS[name])
        return init_ddu(plain_cfg, weights, 'cpu')

    return build


def engine(model, images):
    """What the model itself predicts, image by image."""
    samples = [
        SegDataSample(
            metainfo=dict(
                img_shape=image.shape[1:], ori_shape=image.shape[1:]
            ),
            gt_sem_seg=PixelData(data=torch.zeros(1, *image.shape[1:])),
        )
        for image in images
    ]
    done = model.test_step(dict(inputs=list(images), data_samples=samples))
    return [
        torch.stack([sample.get(name).data for sample in done])
        for name in ('pred_sem_seg', 'pred_epistemic', 'pred_aleatoric')
    ]


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('size', [(48, 48), (57, 83)])
def test_dense_equals_the_engine(fitted, name, size):
    model = fitted(name)
    model.gda_head.temperature.fill_(1.7)
    images = torch.randint(0, 256, (2, 3, *size)).float()
    with torch.no_grad():
        classes, epistemic, aleatoric = DenseSegmentor(model)(images)
    expected = engine(model, images)
    assert classes.dtype == torch.int64 and classes.shape == (2, 1, *size)
    assert (classes == expected[0]).float().mean() > 0.999
    torch.testing.assert_close(epistemic, expected[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(aleatoric, expected[2], rtol=1e-4, atol=1e-4)


def test_a_traced_graph_follows_the_size_of_its_input(fitted, tmp_path):
    model = DenseSegmentor(fitted('multi-scale'))
    first, second = (
        torch.randint(0, 256, (1, 3, *size)).float()
        for size in ((48, 48), (57, 83))
    )
    with torch.no_grad():
        traced = torch.jit.trace(model, (first,), check_trace=False)
        traced.save(tmp_path / 'model.pt')
        loaded = torch.jit.load(tmp_path / 'model.pt')
        for image in (first, second):
            for got, want in zip(loaded(image), model(image), strict=True):
                torch.testing.assert_close(got, want)


def test_what_is_refused(fitted, plain_cfg, checkpoint):
    model = fitted('direction')
    model.test_cfg = dict(mode='slide')
    with pytest.raises(ValueError, match='whole'):
        DenseSegmentor(model)
    model.test_cfg = dict(mode='whole')
    model.gda_head.reset()
    with pytest.raises(NotFittedError):
        DenseSegmentor(model)
    with pytest.raises(TypeError, match='Conv2d'):
        DenseSegmentor(torch.nn.Conv2d(1, 1, 1))
