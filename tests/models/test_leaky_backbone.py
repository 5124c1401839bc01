"""A backbone whose activations have a slope everywhere."""

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_ddu.registry import MODELS

OPTIONS = dict(
    MobileNetV2=dict(out_indices=(1, 2, 4, 6), widen_factor=0.25),
    ResNetV1c=dict(depth=18, base_channels=8, stem_channels=8),
)

LEAKY = 'mmseg_ddu.LeakyBackbone'


def built(**config):
    model = MODELS.build(config)
    model.eval()  # of mmseg's backbones, this returns nothing
    return model


@pytest.mark.parametrize('backbone', OPTIONS)
def test_no_relu_is_left_and_plain_weights_load(backbone):
    init_default_scope('mmseg')
    options = OPTIONS[backbone]
    plain = built(type=backbone, **options)
    leaky = built(type=LEAKY, backbone=backbone, **options)
    leaky.load_state_dict(plain.state_dict())
    kinds = [type(module) for module in leaky.modules()]
    assert nn.ReLU not in kinds and nn.ReLU6 not in kinds
    number = sum(isinstance(m, (nn.ReLU, nn.ReLU6)) for m in plain.modules())
    assert kinds.count(nn.LeakyReLU) == number > 5
    slopeless = built(
        type=LEAKY, backbone=backbone, negative_slope=0.0, **options
    )
    slopeless.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        outputs = zip(plain(image), slopeless(image), leaky(image))
        for one, same, other in outputs:
            if backbone == 'ResNetV1c':  # ReLU6 has a ceiling as well
                torch.testing.assert_close(one, same)
            assert not torch.equal(one, other)
