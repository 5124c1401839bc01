"""A Gaussian classifier in a decode head: training, fit, refusals."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData

from mmseg_ddu.models.heads import classifying_head
from mmseg_ddu.registry import MODELS
from tests.models.fitting import build, fit, noise, samples

CONFIG = 'configs/ddu/ddu_deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py'


def gaussian_config(**gaussian):
    cfg = Config.fromfile(CONFIG)
    cfg.model.decode_head.update(
        type='mmseg_ddu.GaussianHead',
        head=cfg.model.decode_head.type,
        gaussian=dict(dim=8, **gaussian),
    )
    return cfg


@pytest.mark.parametrize('components', [1, 2])
def test_a_network_learns_with_it_and_is_saved(components, tmp_path):
    torch.manual_seed(0)
    cfg = gaussian_config(components=components)
    cfg.model.type = 'EncoderDecoder'
    cfg.model.pop('gda_head', None)
    model = MODELS.build(cfg.model).train()
    inputs = noise(2, 3, 64, 64)
    batch = samples(inputs)
    for sample, image in zip(batch, inputs):
        label = (image[:1] > 0).long()
        label[:, :8] = 255
        sample.gt_sem_seg = PixelData(data=label)
    optim = OptimWrapper(torch.optim.Adam(model.parameters(), lr=3e-3))
    losses = []
    for _ in range(12):
        found = model.loss(inputs, batch)
        losses.append(float(found['decode.loss_ce']))
        optim.update_params(sum(v for k, v in found.items() if 'loss' in k))
    assert losses[-1] < 0.8 * losses[0]
    other = MODELS.build(cfg.model).eval()
    other.load_state_dict(model.state_dict())
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            other.encode_decode(inputs, [s.metainfo for s in batch]),
            model.encode_decode(inputs, [s.metainfo for s in batch]),
        )


def test_the_fit_sees_the_embedding():
    model = fit(build(gaussian_config()))
    assert model.gda_head.channels == 8
    assert classifying_head(model).conv_seg.weight.shape == (6, 8)
    (sample,) = model.predict(
        noise(1, 3, 48, 48), samples(noise(1, 3, 48, 48))
    )
    assert sample.pred_epistemic.data.isfinite().all()


@pytest.mark.parametrize(
    ('head', 'error'), [('PointHead', TypeError), ('Nothing', KeyError)]
)
def test_heads_that_it_cannot_be(head, error):
    config = dict(type='mmseg_ddu.GaussianHead', head=head)
    with pytest.raises(error, match=head):
        MODELS.build(config)


def test_one_logit_for_two_classes_is_refused():
    cfg = gaussian_config().model.decode_head
    cfg.update(num_classes=2, out_channels=1)
    with pytest.raises(ValueError, match='num_classes=2 and leave out'):
        MODELS.build(cfg)
