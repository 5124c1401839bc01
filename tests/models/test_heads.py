"""One decision after another: cascades, point heads, K-Net, refusals."""

import re

import pytest
import torch

from benchmarks.zoo.configs import read_leaf, zoo_root
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.heads import UnsupportedModelError
from tests.models.test_segmentors import fit, metas, samples
from tests.models.test_tta import varied

CASCADE = 'mmseg_ddu.DDUCascadeEncoderDecoder'


def fcn(cfg, **options):
    base = dict(
        type='FCNHead',
        in_channels=32,
        in_index=3,
        channels=8,
        num_classes=6,
        num_convs=1,
        concat_input=False,
        norm_cfg=cfg.model.decode_head.norm_cfg,
    )
    return {**base, **options}


def ocr(cfg, **options):
    base = dict(
        type='OCRHead',
        in_channels=32,
        in_index=3,
        channels=10,
        ocr_channels=6,
        num_classes=6,
        norm_cfg=cfg.model.decode_head.norm_cfg,
    )
    return {**base, **options}


@torch.no_grad()
def predict(model, size=48):
    inputs = torch.randn(1, 3, size, size)
    return inputs, model.predict(inputs, samples(inputs))[0]


def density_map(model, feature):
    """Score of a feature (1, D, h, w) with the density, upsampled."""
    density = model.gda_head.density
    vectors = feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1])
    score = -density.score_samples(vectors)
    return torch.nn.functional.interpolate(
        score.reshape(1, 1, *feature.shape[2:]), (48, 48), mode='bilinear'
    )[0]


def caught(head):
    """What goes into cls_seg, caught by overriding it."""
    found = []
    original = head.cls_seg

    def cls_seg(feature):
        found.append(feature)
        return original(feature)

    head.cls_seg = cls_seg
    return found


def test_threshold_of_a_binary_cascade_is_the_last_heads(demo_cfg):
    binary = dict(
        num_classes=2,
        out_channels=1,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    first = fcn(demo_cfg, threshold=0.5, **binary)
    last = ocr(demo_cfg, threshold=0.97, **binary)
    demo_cfg.model.update(decode_head=[first, last], num_stages=2)
    demo_cfg.model.gda_head.preset = 'ddu-paper'
    model = fit(varied(demo_cfg, CASCADE))
    _, sample = predict(model)
    probs = sample.seg_logits.data
    assert torch.equal(sample.pred_sem_seg.data > 0, probs > 0.97)
    assert (probs > 0.97).any()
    assert ((probs > 0.5) & (probs < 0.97)).any()
    assert model.gda_head.num_classes == 2
    assert torch.isfinite(sample.pred_epistemic.data).all()


def test_point_head_takes_the_feature_of_the_coarse_head(demo_cfg):
    coarse = fcn(demo_cfg)
    point = dict(
        type='PointHead',
        in_channels=[4],
        in_index=[0],
        channels=8,
        num_fcs=1,
        coarse_pred_each_layer=True,
        dropout_ratio=-1,
        num_classes=6,
    )
    demo_cfg.model.update(decode_head=[coarse, point], num_stages=2)
    demo_cfg.model.test_cfg = dict(
        mode='whole',
        subdivision_steps=2,
        subdivision_num_points=16,
        scale_factor=2,
    )
    demo_cfg.model.gda_head.preset = 'ddu-paper'
    model = fit(varied(demo_cfg, CASCADE))
    features = caught(model.decode_head[0])
    _, sample = predict(model)
    torch.testing.assert_close(
        sample.pred_epistemic.data, density_map(model, features[0])
    )
    assert sample.seg_logits.data.shape == (6, 48, 48)


def test_knet_takes_the_feature_its_kernels_act_on(demo_cfg):
    update = dict(
        type='KernelUpdateHead',
        num_classes=6,
        num_ffn_fcs=2,
        num_heads=2,
        num_mask_fcs=1,
        feedforward_channels=16,
        in_channels=8,
        out_channels=8,
        dropout=0.0,
        conv_kernel_size=1,
        ffn_act_cfg=dict(type='ReLU', inplace=True),
        with_ffn=True,
        feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
        kernel_updator_cfg=dict(
            type='KernelUpdator',
            in_channels=8,
            feat_channels=8,
            out_channels=8,
            act_cfg=dict(type='ReLU', inplace=True),
            norm_cfg=dict(type='LN'),
        ),
    )
    demo_cfg.model.decode_head = dict(
        type='IterativeDecodeHead',
        num_stages=1,
        kernel_update_head=[update],
        kernel_generate_head=fcn(demo_cfg),
    )
    demo_cfg.model.gda_head.preset = 'ddu-paper'
    model = fit(varied(demo_cfg))
    features = caught(model.decode_head.kernel_generate_head)
    inputs, sample = predict(model)
    torch.testing.assert_close(
        sample.pred_epistemic.data, density_map(model, features[0])
    )
    with torch.no_grad():
        logits = model.encode_decode(inputs, metas(inputs))[0, :6]
    torch.testing.assert_close(sample.seg_logits.data, logits)


def test_the_classifier_of_the_prediction_counts(demo_cfg):
    """DANet has three classifiers; the first output is the prediction."""
    demo_cfg.model.decode_head = dict(
        type='DAHead',
        in_channels=32,
        in_index=3,
        channels=8,
        pam_channels=4,
        num_classes=6,
        norm_cfg=demo_cfg.model.decode_head.norm_cfg,
    )
    demo_cfg.model.gda_head.preset = 'ddu-paper'
    model = fit(varied(demo_cfg))
    features = caught(model.decode_head)
    _, sample = predict(model)
    torch.testing.assert_close(
        sample.pred_epistemic.data, density_map(model, features[0])
    )


@pytest.mark.parametrize(
    'head, reason',
    [
        ('Mask2FormerHead', 'classifies masks'),
        ('mmseg.MaskFormerHead', 'classifies masks'),
        ('SegmenterMaskTransformerHead', 'segmenter_vit-s_fcn'),
        ('SideAdapterCLIPHead', 'text embedding'),
    ],
)
def test_heads_without_a_pixel_classifier(head, reason):
    model = dict(type='EncoderDecoder', decode_head=dict(type=head))
    name = head.removeprefix('mmseg.')
    with pytest.raises(UnsupportedModelError, match=f'{name} has no') as info:
        to_ddu_model(model)
    assert reason in str(info.value)
    assert 'Use ' in str(info.value)


def test_a_refused_last_head_of_a_cascade(demo_cfg):
    mask = dict(type='SegmenterMaskTransformerHead')
    model = dict(
        type='CascadeEncoderDecoder', decode_head=[fcn(demo_cfg), mask]
    )
    with pytest.raises(UnsupportedModelError, match='Segmenter'):
        to_ddu_model(model)


def test_wrong_tasks():
    with pytest.raises(UnsupportedModelError, match='predicts depth'):
        to_ddu_model(dict(type='DepthEstimator'))
    with pytest.raises(UnsupportedModelError, match='text embedding'):
        to_ddu_model(dict(type='mmseg.MultimodalEncoderDecoder'))
    with pytest.raises(TypeError, match='DDUMixin'):
        to_ddu_model(
            dict(type='MySegmentor', decode_head=dict(type='FCNHead'))
        )
    with pytest.raises(TypeError, match='instance .+ Use one of') as info:
        to_ddu_model(dict(type='mmdet.MaskRCNN', roi_head=dict()))
    assert 'mmdet.MaskRCNN' in str(info.value)


REFUSED = {
    'mask2former': 'Mask2FormerHead',
    'maskformer': 'MaskFormerHead',
    'san': 'SideAdapterCLIPHead',
    'segmenter': 'SegmenterMaskTransformerHead',
    'vpd': 'VPDDepthHead',
}


@pytest.mark.parametrize('method', REFUSED)
def test_refused_configs_of_mmseg(method):
    """Head, reason and way out, without building the model."""
    head = REFUSED[method]
    configs = sorted((zoo_root() / method).glob('*.py'))
    texts = []
    for path in configs:
        model = read_leaf(path).model
        if model.decode_head.type == head:
            with pytest.raises(UnsupportedModelError, match=head) as info:
                to_ddu_model(model)
            texts.append(str(info.value))
    assert texts
    for text in texts:
        assert re.search('classifies masks|class vectors|depth', text)
        assert 'Use ' in text
    plain = [path for path in configs if '_fcn_' in path.name]
    assert (len(texts) < len(configs)) == bool(plain)
