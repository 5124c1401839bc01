"""The segmentors: fields, geometry, modes."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical

from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.engine.build import check_classes
from mmseg_ddu.models import DDUEncoderDecoder, MCDropoutEncoderDecoder
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.registry import MODELS
from tests.models.fitting import build, fit, metas, samples


@pytest.fixture
def model(demo_cfg):
    return fit(build(demo_cfg))


@torch.no_grad()
def test_fields_and_the_plain_prediction(model, demo_cfg):
    plain = build(demo_cfg, 'EncoderDecoder')
    plain.load_state_dict(model.state_dict(), strict=False)
    inputs = torch.randn(2, 3, 40, 56)
    expected = plain.predict(inputs, samples(inputs))
    got = model.predict(inputs, samples(inputs))
    for a, b in zip(expected, got):
        torch.testing.assert_close(b.seg_logits.data, a.seg_logits.data)
        assert torch.equal(b.pred_sem_seg.data, a.pred_sem_seg.data)
        assert b.pred_epistemic.data.shape == (1, 40, 56)
        entropy = Categorical(
            logits=b.seg_logits.data.movedim(0, -1)
        ).entropy()
        torch.testing.assert_close(b.pred_aleatoric.data[0], entropy)
        for name in MAPS:
            values = b.get(f'pred_{name}').data
            share = b.get(f'pred_{name}_percentile').data
            torch.testing.assert_close(share, model.percentile(name, values))
        assert 0 <= b.metainfo['image_novelty_percentile'] <= 1
        assert b.metainfo['image_novelty'].shape == ()


@torch.no_grad()
def test_epistemic_is_the_density_of_the_penultimate_feature(demo_cfg):
    """The feature is caught here by overriding cls_seg, not by a hook."""
    demo_cfg.model.gda_head.preset = 'ddu-paper'
    model = fit(build(demo_cfg))
    inputs = torch.randn(1, 3, 48, 48)
    caught = []
    original = model.decode_head.cls_seg

    def cls_seg(feature):
        caught.append(feature)
        return original(feature)

    model.decode_head.cls_seg = cls_seg
    sample = model.predict(inputs, samples(inputs))[0]
    density = model.gda_head.density
    z = caught[0].permute(0, 2, 3, 1).reshape(-1, caught[0].shape[1])
    score = -density.score_samples(z).reshape(1, 1, *caught[0].shape[2:])
    expected = torch.nn.functional.interpolate(
        score, (48, 48), mode='bilinear', align_corners=False
    )
    torch.testing.assert_close(sample.pred_epistemic.data, expected[0])


def test_features_of_each_window(model):
    inputs = torch.randn(1, 3, 48, 80)
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(mode='slide', crop_size=(48, 48), stride=(32, 32))
    windows = [
        place for place, *_ in model.iter_features(inputs, metas(inputs))
    ]
    assert windows == [(0, 48, 0, 48), (0, 48, 32, 80)]


@torch.no_grad()
def test_a_batch_of_several_sizes_equals_one_by_one(model):
    rng = torch.Generator().manual_seed(0)
    sizes = [(40, 56), (48, 48), (40, 56)]
    images = [
        torch.randint(0, 255, (3, *size), generator=rng).to(torch.uint8)
        for size in sizes
    ]

    def packed(chosen):
        data = [samples(image[None])[0] for image in chosen]
        return dict(inputs=list(chosen), data_samples=data)

    together = model.test_step(packed(images))
    for image, sample in zip(images, together):
        alone = model.test_step(packed([image]))[0]
        assert sample.pred_epistemic.data.shape[1:] == image.shape[1:]
        torch.testing.assert_close(
            sample.pred_epistemic.data,
            alone.pred_epistemic.data,
            rtol=1e-4,
            atol=1e-3,
        )


def test_unfitted_refuses_to_predict_but_validates(demo_cfg):
    model = build(demo_cfg)
    image = torch.zeros(3, 48, 48, dtype=torch.uint8)
    data = dict(inputs=[image], data_samples=samples(image[None]))
    with pytest.raises(NotFittedError, match='fit_gda.py'):
        model.test_step(data)
    with torch.no_grad():
        sample = model.val_step(data)[0]
    assert 'pred_epistemic' not in sample
    assert sample.pred_aleatoric.data.shape == (1, 48, 48)
    assert sample.seg_logits.data.shape[0] == 6


def test_training_is_the_plain_models(model, demo_cfg):
    plain = build(demo_cfg, 'EncoderDecoder')
    plain.load_state_dict(model.state_dict(), strict=False)
    inputs = torch.randn(2, 3, 48, 48)
    from mmengine.structures import PixelData

    data = samples(inputs)
    for sample in data:
        label = torch.randint(0, 6, (1, 48, 48))
        sample.gt_sem_seg = PixelData(data=label)
    torch.testing.assert_close(
        model.loss(inputs, data)['decode.loss_ce'],
        plain.loss(inputs, data)['decode.loss_ce'],
    )


@torch.no_grad()
def test_scores_are_float32_under_autocast(model):
    inputs = torch.randn(1, 3, 48, 48)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        sample = model.predict(inputs, samples(inputs))[0]
    assert sample.pred_epistemic.data.dtype == torch.float32
    steps = sample.pred_epistemic.data.unique()
    assert len(steps) > 100  # bfloat16 would leave a few steps


@torch.no_grad()
def test_binary_head(demo_cfg):
    demo_cfg.model.decode_head.update(
        num_classes=2,
        out_channels=1,
        threshold=0.3,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    model = fit(build(demo_cfg))
    plain = build(demo_cfg, 'EncoderDecoder')
    plain.load_state_dict(model.state_dict(), strict=False)
    inputs = torch.randn(1, 3, 48, 48)
    got = model.predict(inputs, samples(inputs))[0]
    expected = plain.predict(inputs, samples(inputs))[0]
    torch.testing.assert_close(got.seg_logits.data, expected.seg_logits.data)
    assert torch.equal(got.pred_sem_seg.data, expected.pred_sem_seg.data)
    p = expected.seg_logits.data.double()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log())
    np.testing.assert_allclose(got.pred_aleatoric.data, entropy, rtol=1e-4)


def test_heads_without_cls_seg_are_refused(demo_cfg):
    demo_cfg.model.decode_head = dict(
        type='SegmenterMaskTransformerHead',
        in_channels=32,
        channels=12,
        num_classes=6,
        num_layers=1,
        num_heads=2,
        embed_dims=12,
    )
    with pytest.raises(TypeError, match='SegmenterMaskTransformerHead has no'):
        build(demo_cfg)


@torch.no_grad()
def test_several_heads(demo_cfg):
    """Each has its map; the first is the epistemic one as before."""
    both = fit(
        build(
            demo_cfg,
            extra_heads=dict(
                early=dict(tap='backbone.layer3'),
                paper=dict(preset='ddu-paper'),
            ),
        )
    )
    inputs = torch.randn(1, 3, 48, 48)
    sample = both.predict(inputs, samples(inputs))[0]
    assert both.extra_heads['early'].channels == 16
    for name in ('epistemic', 'epistemic_early', 'epistemic_paper'):
        values = sample.get(f'pred_{name}').data
        share = sample.get(f'pred_{name}_percentile').data
        assert values.isfinite().all() and 0 <= share.min() <= share.max() <= 1
    with pytest.raises(ValueError, match='epistemic_early'):
        both.percentile('late', values)


def test_conversion(plain_cfg):
    assert to_ddu_model(plain_cfg.model)['type'] == (
        'mmseg_ddu.DDUEncoderDecoder'
    )
    assert plain_cfg.model.type == 'EncoderDecoder'
    head = to_ddu_model(plain_cfg.model, dict(stride=1))['gda_head']
    assert head == dict(stride=1)
    with pytest.raises(TypeError, match='no DDU form'):
        to_ddu_model(dict(type='DepthEstimator'))


def test_cascade(demo_cfg):
    head = demo_cfg.model.decode_head
    fcn = dict(
        type='FCNHead',
        in_channels=32,
        in_index=3,
        channels=8,
        num_classes=6,
        num_convs=1,
        concat_input=False,
        norm_cfg=head.norm_cfg,
    )
    ocr = dict(
        type='OCRHead',
        in_channels=32,
        in_index=3,
        channels=8,
        ocr_channels=10,
        num_classes=6,
        norm_cfg=head.norm_cfg,
    )
    demo_cfg.model.update(decode_head=[fcn, ocr], num_stages=2)
    model = fit(build(demo_cfg, 'mmseg_ddu.DDUCascadeEncoderDecoder'))
    inputs = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        sample = model.predict(inputs, samples(inputs))[0]
    assert model.gda_head.channels == 8
    assert sample.pred_epistemic.data.shape == (1, 48, 48)


def test_registered_under_our_scope():
    assert MODELS.get('DDUEncoderDecoder') is DDUEncoderDecoder
    assert MODELS.get('MCDropoutEncoderDecoder') is MCDropoutEncoderDecoder


def test_one_logit_is_two_classes(plain_cfg):
    plain_cfg.model.decode_head.update(
        num_classes=1,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    model = build(plain_cfg)
    assert model.out_channels == 1 and model.gda_head.num_classes == 2
    for names in (['object'], ['ground', 'object']):
        check_classes(model, dict(classes=names), None)
    with pytest.raises(ValueError, match='3 classes'):
        check_classes(model, dict(classes=['a', 'b', 'c']), None)
