"""MC dropout against passes by hand."""

import pytest
import torch
from mmseg.models import EncoderDecoder
from torch.distributions import Categorical

from mmseg_ddu.core import active_dropout
from tests.models.test_segmentors import build, metas, samples


def mc(cfg, **options):
    return build(cfg, 'mmseg_ddu.MCDropoutEncoderDecoder', **options)


@torch.no_grad()
def test_one_pass_without_dropout_is_the_plain_model(demo_cfg):
    model = mc(demo_cfg, num_passes=1)
    model.decode_head.dropout.p = 0.0
    plain = build(demo_cfg, 'EncoderDecoder')
    plain.load_state_dict(model.state_dict())
    inputs = torch.randn(1, 3, 40, 56)
    got = model.predict(inputs, samples(inputs))[0]
    expected = plain.predict(inputs, samples(inputs))[0]
    assert torch.equal(got.pred_sem_seg.data, expected.pred_sem_seg.data)
    logits = expected.seg_logits.data
    torch.testing.assert_close(
        got.seg_logits.data.softmax(0), logits.softmax(0)
    )
    entropy = Categorical(logits=logits.movedim(0, -1)).entropy()
    torch.testing.assert_close(got.pred_aleatoric.data[0], entropy)
    assert (got.pred_epistemic.data == 0).all()


@torch.no_grad()
def test_against_passes_by_hand(demo_cfg):
    """Mean, mutual information and expected entropy in float64."""
    model = mc(demo_cfg, num_passes=5)
    inputs = torch.randn(1, 3, 48, 48)
    torch.manual_seed(3)
    got = model.predict(inputs, samples(inputs))[0]
    torch.manual_seed(3)
    with active_dropout(model):
        probs = torch.stack(
            [
                EncoderDecoder.encode_decode(model, inputs, metas(inputs))
                .double()
                .softmax(1)[0]
                for _ in range(5)
            ]
        )
    mean = probs.mean(0)
    predictive = -(mean * mean.log()).sum(0)
    expected = -(probs * probs.log()).sum(1).mean(0)
    torch.testing.assert_close(
        got.seg_logits.data.double().exp(), mean, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        got.pred_epistemic.data[0].double(),
        predictive - expected,
        rtol=1e-3,
        atol=1e-5,
    )
    torch.testing.assert_close(
        got.pred_aleatoric.data[0].double(), expected, rtol=1e-3, atol=1e-5
    )


@torch.no_grad()
def test_only_the_classifier_is_repeated(demo_cfg):
    model = mc(demo_cfg, num_passes=6)
    calls = dict(backbone=0, classifier=0)

    def count(name):
        def hook(*_):
            calls[name] += 1

        return hook

    # A replayed module still calls its hooks, so count a layer inside.
    model.backbone.layer1[0].conv1.register_forward_hook(count('backbone'))
    model.decode_head.conv_seg.register_forward_hook(count('classifier'))
    inputs = torch.randn(1, 3, 48, 48)
    model.predict(inputs, samples(inputs))
    assert calls == dict(backbone=1, classifier=6)


@torch.no_grad()
def test_batch_norm_stays_as_it_was(demo_cfg):
    model = mc(demo_cfg, num_passes=3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    inputs = torch.randn(2, 3, 48, 48)
    model.predict(inputs, samples(inputs))
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not any(m.training for m in model.modules())


@torch.no_grad()
def test_slide(demo_cfg):
    model = mc(demo_cfg, num_passes=2)
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(16, 16))
    inputs = torch.randn(1, 3, 48, 48)
    sample = model.predict(inputs, samples(inputs))[0]
    assert sample.pred_epistemic.data.shape == (1, 48, 48)
    assert (sample.pred_epistemic.data >= 0).all()


def test_refuses_networks_without_dropout(demo_cfg):
    demo_cfg.model.decode_head.dropout_ratio = 0
    with pytest.raises(ValueError, match='no dropout with p > 0'):
        mc(demo_cfg)
    demo_cfg.model.decode_head.dropout_ratio = 0.1
    with pytest.raises(ValueError, match='num_passes'):
        mc(demo_cfg, num_passes=0)


@torch.no_grad()
def test_dropout_behind_backbone_stages_by_hand(demo_cfg):
    """The same as hooks put there by hand, pass by pass."""
    names = ['backbone.layer2', 'backbone.layer3.1']
    options = dict(dropout_after=names, dropout_p=0.3)
    model = mc(demo_cfg, num_passes=4, **options)
    plain = build(demo_cfg, 'EncoderDecoder')
    plain.load_state_dict(model.state_dict())
    inputs = torch.randn(1, 3, 48, 48)
    torch.manual_seed(5)
    got = model.predict(inputs, samples(inputs))[0]
    for name in names:
        plain.get_submodule(name).register_forward_hook(
            lambda _, __, out: torch.nn.functional.dropout2d(out, 0.3)
        )
    torch.manual_seed(5)
    with active_dropout(plain):
        probs = torch.stack(
            [
                plain.encode_decode(inputs, metas(inputs)).double().softmax(1)
                for _ in range(4)
            ]
        )
    assert probs.std(0).max() > 1e-4
    torch.testing.assert_close(
        got.seg_logits.data.double().exp(),
        probs.mean(0)[0],
        rtol=1e-4,
        atol=1e-6,
    )


@torch.no_grad()
def test_inserted_dropout_is_for_tests_alone(demo_cfg):
    model = mc(demo_cfg, dropout_after='backbone')
    stages = [f'backbone.layer{i}' for i in (1, 2, 3, 4)]
    assert model.dropout_after == stages
    inputs = torch.randn(1, 3, 48, 48)
    plain = build(demo_cfg, 'EncoderDecoder')
    plain.load_state_dict(model.state_dict())
    sample = model.predict(inputs, samples(inputs))[0]
    torch.testing.assert_close(
        sample.pred_total.data,
        sample.pred_epistemic.data + sample.pred_aleatoric.data,
    )
    # Afterwards nothing is left behind, in training mode either.
    for one in (model, plain):
        one.backbone.train()
        torch.manual_seed(0)
    a, b = (m.extract_feat(inputs)[-1] for m in (model, plain))
    assert torch.equal(a, b)


def test_unknown_places(demo_cfg):
    with pytest.raises(ValueError, match="no module 'backbone.stage9'"):
        mc(demo_cfg, dropout_after='backbone.stage9')
    demo_cfg.model.decode_head.dropout_ratio = 0
    assert mc(demo_cfg, dropout_after='backbone.layer4').num_passes == 10
    model = mc(demo_cfg, dropout_after='backbone')
    model.dropout_after = ['backbone']
    inputs = torch.randn(1, 3, 48, 48)
    with pytest.raises(TypeError, match='submodule of it'):
        model.predict(inputs, samples(inputs))


@torch.no_grad()
def test_slide_of_a_binary_head(demo_cfg):
    """mmseg counts the maps among the channels while windows slide."""
    demo_cfg.model.decode_head.update(
        num_classes=2, out_channels=1, threshold=0.4
    )
    model = mc(demo_cfg, num_passes=3)
    inputs = torch.randn(1, 3, 48, 48)
    torch.manual_seed(2)
    whole = model.predict(inputs, samples(inputs))[0]
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(mode='slide', crop_size=(48, 48), stride=(32, 32))
    torch.manual_seed(2)
    slide = model.predict(inputs, samples(inputs))[0]
    for field in ('seg_logits', 'pred_epistemic', 'pred_aleatoric'):
        a, b = (getattr(sample, field).data for sample in (whole, slide))
        assert a.shape == (1, 48, 48)
        torch.testing.assert_close(a, b)
