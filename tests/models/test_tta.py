"""Merging of augmentations, against predictions made one by one."""

import pytest
import torch
from mmengine.structures import PixelData

from mmseg_ddu.models import DDUTTAModel
from mmseg_ddu.models.convert import ENSEMBLE_TYPE, to_plain_model
from mmseg_ddu.registry import MODELS
from tests.models.test_segmentors import build, fit, samples

FIELDS = ('pred_epistemic', 'pred_aleatoric')
HEIGHT, WIDTH = 40, 56


@pytest.fixture
def image():
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (3, HEIGHT, WIDTH), generator=rng)
    return noise.to(torch.uint8)


def varied(cfg, *args, **options):
    """A network whose predictions differ from pixel to pixel."""
    return varied_weights(build(cfg, *args, **options))


def varied_weights(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


METHODS = ('ddu', 'mc_dropout', 'ensemble')


def model_of(method, cfg):
    if method == 'ddu':
        return fit(varied(cfg))
    if method == 'ensemble':
        members = [cfg.model.copy() for _ in range(2)]
        members = [dict(to_plain_model(member)) for member in members]
        return varied_weights(
            MODELS.build(dict(type=ENSEMBLE_TYPE, member=members)).eval()
        )
    return varied(cfg, 'mmseg_ddu.MCDropoutEncoderDecoder', num_passes=2)


@pytest.fixture(params=METHODS)
def model(request, demo_cfg):
    return model_of(request.param, demo_cfg)


def sample_of(image, **changes):
    return samples(image[None], **changes)[0]


def augmented(*pairs):
    """The batch that mmcv's TestTimeAug and pseudo_collate give."""
    return dict(
        inputs=[[image] for image, _ in pairs],
        data_samples=[[sample] for _, sample in pairs],
    )


def flip_pair(image, direction='horizontal'):
    axis = -1 if direction == 'horizontal' else -2
    return (
        image.flip(axis),
        sample_of(image, flip=True, flip_direction=direction),
    )


def tta(model, *pairs):
    torch.manual_seed(5)
    wrapped = DDUTTAModel(module=model)
    with torch.no_grad():
        return wrapped.test_step(augmented(*pairs))[0]


def plain(model, image, sample=None):
    sample = sample_of(image) if sample is None else sample
    batch = dict(inputs=[image], data_samples=[sample])
    with torch.no_grad():
        return model.test_step(batch)[0]


@pytest.mark.parametrize('direction', ['horizontal', 'vertical'])
def test_one_flip_is_the_flipped_image_flipped_back(model, image, direction):
    axis = -1 if direction == 'horizontal' else -2
    got = tta(model, flip_pair(image, direction))
    torch.manual_seed(5)
    expected = plain(model, image.flip(axis))
    for field in FIELDS:
        torch.testing.assert_close(
            got.get(field).data, expected.get(field).data.flip(axis)
        )
    classes = expected.pred_sem_seg.data.flip(axis)
    assert torch.equal(got.pred_sem_seg.data, classes)


def test_the_maps_are_means_over_the_augmentations(model, image):
    got = tta(model, (image, sample_of(image)), flip_pair(image))
    torch.manual_seed(5)
    first = plain(model, image)
    second = plain(model, image.flip(-1))
    for field in FIELDS:
        mirrored = second.get(field).data.flip(-1)
        mean = (first.get(field).data.double() + mirrored.double()) / 2
        torch.testing.assert_close(got.get(field).data.double(), mean)
    probs = (
        first.seg_logits.data.softmax(0)
        + second.seg_logits.data.flip(-1).softmax(0)
    ) / 2
    torch.testing.assert_close(got.seg_logits.data.exp(), probs)
    torch.testing.assert_close(got.seg_logits.data.softmax(0), probs)
    assert torch.equal(got.pred_sem_seg.data[0], probs.argmax(0))


def test_flip_commutes_with_flip_augmentation(demo_cfg, image):
    """The mirrored image has the mirrored maps, exactly as it should."""
    model = fit(varied(demo_cfg))
    mirrored = image.flip(-1)
    one = tta(model, (image, sample_of(image)), flip_pair(image))
    two = tta(model, (mirrored, sample_of(image)), flip_pair(mirrored))
    alone = plain(model, image), plain(model, mirrored)
    for field in FIELDS:
        a, b = one.get(field).data, two.get(field).data.flip(-1)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)
        a, b = (sample.get(field).data for sample in alone)
        assert not torch.allclose(a, b.flip(-1), rtol=1e-4, atol=1e-3)


def test_slide_on_one_window_is_whole(demo_cfg, image):
    model = fit(varied(demo_cfg))
    pairs = [(image, sample_of(image)), flip_pair(image)]
    whole = tta(model, *pairs)
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(
        mode='slide', crop_size=(HEIGHT, WIDTH), stride=(32, 32)
    )
    pairs = [(image, sample_of(image)), flip_pair(image)]
    slide = tta(model, *pairs)
    for field in (*FIELDS, 'seg_logits'):
        torch.testing.assert_close(
            slide.get(field).data, whole.get(field).data
        )


def test_scales_come_back_to_the_original_size(model, image):
    """Two scales and a flip of the second, against each alone."""
    large = torch.nn.functional.interpolate(
        image[None].float(), scale_factor=1.5
    )[0].to(torch.uint8)
    original = dict(ori_shape=(HEIGHT, WIDTH))
    flip = dict(flip=True, flip_direction='horizontal')
    pairs = [
        (image, sample_of(image)),
        (large, sample_of(large, **original)),
        (large.flip(-1), sample_of(large, **original, **flip)),
    ]
    got = tta(model, *pairs)
    torch.manual_seed(5)
    alone = [plain(model, *pair) for pair in pairs]
    for field in FIELDS:
        maps = torch.stack([sample.get(field).data for sample in alone])
        assert maps.shape == (3, 1, HEIGHT, WIDTH)
        assert not torch.allclose(maps[0], maps[1])
        torch.testing.assert_close(got.get(field).data, maps.mean(0))


def test_a_batch_of_several_sizes(demo_cfg, image):
    model = fit(varied(demo_cfg))
    other = image[:, :, :48].flip(-2)
    batch = dict(
        inputs=[[image, other], [image.flip(-1), other.flip(-1)]],
        data_samples=[
            [sample_of(image), sample_of(other)],
            [flip_pair(image)[1], flip_pair(other)[1]],
        ],
    )
    with torch.no_grad():
        together = DDUTTAModel(module=model).test_step(batch)
    for each, got in zip((image, other), together):
        alone = tta(model, (each, sample_of(each)), flip_pair(each))
        for field in FIELDS:
            torch.testing.assert_close(
                got.get(field).data, alone.get(field).data
            )


def test_binary_head_averages_probabilities(demo_cfg, image):
    demo_cfg.model.decode_head.update(
        num_classes=2,
        out_channels=1,
        threshold=0.4,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    model = fit(varied(demo_cfg))
    got = tta(model, (image, sample_of(image)), flip_pair(image))
    first, second = plain(model, image), plain(model, image.flip(-1))
    mean = (first.seg_logits.data + second.seg_logits.data.flip(-1)) / 2
    torch.testing.assert_close(got.seg_logits.data, mean)
    assert torch.equal(got.pred_sem_seg.data > 0, mean > 0.4)


def test_labels_stay_and_nothing_unmerged_leaks(demo_cfg, image):
    model = fit(varied(demo_cfg))
    pairs = [(image, sample_of(image)), flip_pair(image)]
    label = PixelData(data=torch.zeros(1, HEIGHT, WIDTH))
    for _, sample in pairs:
        sample.gt_sem_seg = label
        sample.extra = PixelData(data=torch.zeros(1, HEIGHT, WIDTH))
    got = tta(model, *pairs)
    assert got.gt_sem_seg is not None
    assert 'extra' not in got
    assert 'flip' not in got.metainfo
    assert got.metainfo['ori_shape'] == (HEIGHT, WIDTH)


def test_other_sizes_are_refused(demo_cfg, image):
    model = fit(varied(demo_cfg))
    small = image[..., :32]
    with pytest.raises(ValueError, match='may flip and resize'):
        tta(model, (image, sample_of(image)), (small, sample_of(small)))


def test_registered_and_built_from_a_config(demo_cfg):
    cfg = dict(type='mmseg_ddu.DDUTTAModel', module=demo_cfg.model)
    model = MODELS.build(cfg)
    assert isinstance(model, DDUTTAModel)
    assert model.out_channels == 6
    assert model.gda_head is model.module.gda_head
