"""Sliding windows, padding and flips, for every method."""

import weakref

import pytest
import torch
from mmseg.models import EncoderDecoder
from torch.utils._python_dispatch import TorchDispatchMode

from tests.models.test_segmentors import metas, samples
from tests.models.test_tta import METHODS, model_of

FIELDS = ('seg_logits', 'pred_epistemic', 'pred_aleatoric', 'pred_sem_seg')
AXES = dict(horizontal=(2,), vertical=(1,), diagonal=(1, 2))


@pytest.fixture(params=METHODS)
def model(request, demo_cfg):
    return model_of(request.param, demo_cfg)


def slide(model, crop, stride):
    model.test_cfg = model.test_cfg.copy()
    model.test_cfg.update(mode='slide', crop_size=crop, stride=stride)


@torch.no_grad()
def predict(model, inputs, **meta):
    torch.manual_seed(5)
    return model.predict(inputs, samples(inputs, **meta))[0]


def test_one_window_is_the_whole(model):
    inputs = torch.randn(1, 3, 40, 56)
    whole = predict(model, inputs)
    for crop in ((40, 56), (64, 64)):
        slide(model, crop, (32, 32))
        windows = predict(model, inputs)
        for field in whole.keys():  # noqa: SIM118
            torch.testing.assert_close(
                windows.get(field).data, whole.get(field).data
            )


@torch.no_grad()
def test_overlapping_windows_by_hand(model):
    """All channels, averaged in float64 over windows cut by hand."""
    inputs = torch.randn(2, 3, 50, 77)
    slide(model, (32, 32), (20, 24))
    torch.manual_seed(5)
    got = model.inference(inputs, metas(inputs))
    torch.manual_seed(5)
    total = torch.zeros_like(got).double()
    count = torch.zeros(50, 77).double()
    for y in (0, 18):
        for x in (0, 24, 45):
            place = (..., slice(y, y + 32), slice(x, x + 32))
            crop = inputs[place]
            total[place] += model.encode_decode(crop, metas(crop)).double()
            count[place] += 1
    assert count.min() == 1 and count.max() == 4
    torch.testing.assert_close(
        got.double(), total / count, rtol=1e-4, atol=1e-4
    )


class LargeTensors(TorchDispatchMode):
    """Counts results of operations with memory of their own."""

    def __init__(self, numel):
        super().__init__()
        self.numel, self.storages = numel, {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() >= self.numel:
            storage = out.untyped_storage().data_ptr()
            self.storages.setdefault(storage, str(function))
        return out


@torch.no_grad()
def test_windows_are_added_one_by_one(model):
    """One buffer of the size of the image; one window at a time."""
    inputs = torch.randn(1, 3, 96, 96)
    slide(model, (32, 32), (32, 32))
    alive, most = weakref.WeakSet(), []
    original = model.encode_decode

    def encode_decode(crop, batch_img_metas):
        most.append(len(alive))
        part = original(crop, batch_img_metas)
        alive.add(part)
        return part

    model.encode_decode = encode_decode
    channels = model.out_channels + 1
    with LargeTensors(channels * 96 * 96) as large:
        model.inference(inputs, metas(inputs))
    assert len(most) == 9 and max(most) <= 1
    assert len(large.storages) == 1, large.storages


@pytest.mark.parametrize('direction', AXES)
def test_flips_commute(model, direction):
    """A prediction of the mirror image, mirrored back."""
    inputs = torch.randn(1, 3, 40, 56)
    mirrored = inputs.flip([axis + 1 for axis in AXES[direction]])
    plain = predict(model, mirrored)
    got = predict(model, mirrored, flip=True, flip_direction=direction)
    for field in FIELDS:
        expected = plain.get(field).data.flip(AXES[direction])
        torch.testing.assert_close(got.get(field).data, expected)


@torch.no_grad()
@pytest.mark.parametrize('direction', ['horizontal', 'vertical', None])
@pytest.mark.parametrize('size', [(30, 30), (60, 90)])
def test_geometry_is_that_of_mmseg(model, direction, size):
    """Padding, flip and size of every channel, against mmseg's own."""
    channels = model.out_channels + 1
    everything = torch.randn(2, channels, 40, 40).abs()
    meta = dict(ori_shape=size, img_padding_size=[3, 7, 2, 8])
    if direction:
        meta.update(flip=True, flip_direction=direction)
    got = model.postprocess_result(everything, samples(everything, **meta))
    reference = EncoderDecoder.postprocess_result(
        model, everything, samples(everything, **meta)
    )
    for one, other in zip(got, reference, strict=True):
        expected = other.seg_logits.data
        torch.testing.assert_close(one.seg_logits.data, expected[:-1])
        torch.testing.assert_close(one.pred_epistemic.data, expected[-1:])
        classes = expected[:-1].argmax(0, keepdim=True)
        assert torch.equal(one.pred_sem_seg.data, classes)


@torch.no_grad()
def test_a_kept_map_keeps_no_logits(model):
    sample = predict(model, torch.randn(1, 3, 40, 56))
    for field in ('pred_epistemic', 'pred_aleatoric', 'pred_sem_seg'):
        data = sample.get(field).data
        size = data.untyped_storage().nbytes()
        assert size == data.numel() * data.element_size(), field
