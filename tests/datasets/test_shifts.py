"""Shifted images in a pipeline, and data sets that hold them."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import TRANSFORMS

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.datasets import SHIFTS, ShiftImage, VoidOoD, shifted
from mmseg_ddu.registry import DATASETS

KEPT = [name for name, shift in SHIFTS.items() if shift.content == 'kept']


def results(path='folder/a.jpg', size=(32, 48), ood=True):
    """An image with class mask, a void strip, and a held-out corner."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    mask = rng.integers(0, 3, (2 * size[0], 2 * size[1])).astype(np.uint8)
    mask[:4] = 255
    mask[-8:, -8:] = 255
    out = dict(img=image, img_path=path, gt_seg_map=mask)
    out['seg_fields'] = ['gt_seg_map']
    if ood:
        out['gt_ood_map'] = np.where(mask == 255, 255, 0).astype(np.uint8)
        out['gt_ood_map'][-8:, -8:] = 1
        out['seg_fields'].append('gt_ood_map')
    return out


@pytest.mark.parametrize('kind', list(SHIFTS))
def test_deterministic_and_independent_of_global_state(kind):
    step = ShiftImage(kind)
    first = step(results())
    np.random.seed(7)
    torch.manual_seed(7)
    again = ShiftImage(kind)(results('/elsewhere/a.jpg'))
    for field in ('img', 'gt_seg_map', 'gt_ood_map'):
        assert np.array_equal(first[field], again[field]), field
    for key in ('img', 'gt_seg_map'):
        plain = results()[key]
        assert first[key].shape == plain.shape
        assert first[key].dtype == plain.dtype


@pytest.mark.parametrize('kind', ['noisy', 'noise', 'crop', 'shuffled'])
def test_random_numbers_depend_on_name_and_seed(kind):
    first = ShiftImage(kind)(results())['img']
    for other in (
        ShiftImage(kind)(results('folder/b.jpg')),
        ShiftImage(kind, seed=1)(results()),
    ):
        assert not np.array_equal(first, other['img'])


@pytest.mark.parametrize('kind', KEPT)
def test_masks_where_the_content_stays(kind):
    plain, out = results(), ShiftImage(kind)(results())
    assert np.array_equal(out['gt_seg_map'], plain['gt_seg_map'])
    expected = np.where(plain['gt_ood_map'] == 255, 255, 1)
    assert np.array_equal(out['gt_ood_map'], expected)
    assert (out['gt_ood_map'][-8:, -8:] == 1).all()


@pytest.mark.parametrize('kind', ['noise', 'texture'])
def test_masks_where_nothing_is_left(kind):
    out = ShiftImage(kind)(results())
    assert (out['gt_seg_map'] == 255).all()
    assert (out['gt_ood_map'] == 1).all()


def test_masks_where_the_content_moves():
    plain, out = results(), ShiftImage('upside_down')(results())
    assert np.array_equal(out['gt_seg_map'], plain['gt_seg_map'][::-1])
    assert (out['gt_ood_map'][-4:] == 255).all()
    assert (out['gt_ood_map'][:-4] == 1).all()
    assert out['seg_fields'] == ['gt_seg_map', 'gt_ood_map']


def test_without_an_ood_mask_void_is_what_the_class_mask_says():
    out = ShiftImage('blur')(results(ood=False))
    void = results()['gt_seg_map'] == 255
    assert np.array_equal(out['gt_ood_map'] == 255, void)
    assert out['gt_ood_map'].dtype == np.uint8
    assert out['seg_fields'] == ['gt_seg_map', 'gt_ood_map']


def test_bare_image():
    out = ShiftImage('inverted')(dict(img=results()['img']))
    assert np.array_equal(out['img'], 255 - results()['img'])
    assert set(out) == {'img'}


def test_plain_images_of_a_shift_test():
    out = VoidOoD()(results())
    plain = results()['gt_ood_map']
    assert np.array_equal(out['gt_ood_map'], np.where(plain == 0, 0, 255))
    assert np.array_equal(out['gt_seg_map'], results()['gt_seg_map'])


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match='one of blur, inverted'):
        ShiftImage('fog')
    with pytest.raises(ValueError, match=r"options \['sigma'\]"):
        ShiftImage('blur', quality=3)
    floats = dict(results(), img=results()['img'].astype(np.float32))
    with pytest.raises(ValueError, match='without to_float32'):
        ShiftImage('blur')(floats)
    with pytest.raises(ValueError, match='end in PackSegInputs'):
        shifted(dict(pipeline=[dict(type='LoadImageFromFile')]), 'blur')


def assert_all_foreign(sample):
    """But for the void borders, and not many of those."""
    mask = sample.gt_ood_map.data
    assert torch.isin(mask, torch.tensor([1, 255])).all()
    assert (mask == 1).float().mean() > 0.6


class TestDatasets:
    def test_shifted_config(self, demo_cfg):
        """Through wrappers, and the given config stays as it is."""
        dataset = demo_cfg.test_dataloader.dataset
        before = dataset.to_dict()
        wrapped = dict(type='ConcatDataset', datasets=[dataset, dataset])
        plain = DATASETS.build(dataset)
        for config in (
            shifted(dataset, 'inverted'),
            shifted(wrapped, 'inverted'),
        ):
            built = DATASETS.build(config)
            item = built[1]
            assert torch.equal(item['inputs'], 255 - plain[1]['inputs'])
            assert_all_foreign(item['data_samples'])
        assert len(built) == 2 * len(plain)
        assert dataset.to_dict() == before

    def test_plain_pipeline_of_a_user(self, plain_cfg):
        dataset = plain_cfg.test_dataloader.dataset
        sample = DATASETS.build(shifted(dataset, 'noise'))[0]['data_samples']
        assert (sample.gt_ood_map.data == 1).all()
        assert (sample.gt_sem_seg.data == 255).all()

    def test_types_given_as_classes(self, plain_cfg):
        """New-style configs name classes; the mask is packed as well."""
        dataset = plain_cfg.test_dataloader.dataset
        for step in dataset.pipeline:
            step.type = TRANSFORMS.get(step.type)
        sample = DATASETS.build(shifted(dataset, 'noise'))[0]['data_samples']
        assert (sample.gt_ood_map.data == 1).all()

    @pytest.mark.parametrize('kind', ['blur', 'crop', 'noise'])
    def test_with_shift(self, demo_cfg, kind):
        dataset = demo_cfg.test_dataloader.dataset
        plain = DATASETS.build(dataset)
        both = DATASETS.build(
            dict(type='mmseg_ddu.WithShift', dataset=dataset, kind=kind)
        )
        assert len(both) == 2 * len(plain)
        assert both.metainfo == plain.metainfo
        first, second = both[0], both[len(plain)]
        expected = plain[0]['data_samples']
        assert torch.equal(first['inputs'], plain[0]['inputs'])
        assert not torch.equal(second['inputs'], plain[0]['inputs'])
        ood = expected.gt_ood_map.data
        assert torch.equal(
            first['data_samples'].gt_ood_map.data == 255, ood != 0
        )
        assert_all_foreign(second['data_samples'])
        assert (second['data_samples'].gt_sem_seg.data == 255).all()

    def test_with_shift_by_config_alone(self, demo_cfg, tmp_path):
        """As a user writes it, over a leaf config."""
        base = tmp_path / 'base.py'
        demo_cfg.dump(str(base))
        config = tmp_path / 'shift.py'
        config.write_text(
            "_base_ = './base.py'\n"
            'plain = {{_base_.test_dataloader.dataset}}\n'
            'test_dataloader = dict(dataset=dict(_delete_=True, '
            "type='mmseg_ddu.WithShift', kind='noisy', sigma=30., "
            'dataset=plain))\n'
        )
        cfg = Config.fromfile(config)
        both = DATASETS.build(cfg.test_dataloader.dataset)
        assert len(both) == 8
        assert both.datasets[1].pipeline.transforms[-2].options == dict(
            sigma=30.0
        )


def test_printed_by_the_test_tool(demo_cfg, checkpoint, sample_root):
    """From end to end: the shifted pixels are the positives."""
    cfg = demo_cfg
    fitted = fit_gda(cfg, checkpoint)
    cfg.test_dataloader.dataset = dict(
        type='mmseg_ddu.WithShift',
        kind='inverted',
        dataset=cfg.test_dataloader.dataset,
    )
    cfg.test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
    metrics = run_test(cfg, fitted, work_dir=cfg.work_dir)
    assert 0 <= metrics['uncertainty/epistemic_ood_AUROC'] <= 100
    plain = cfg.test_dataloader.dataset.dataset
    cfg.test_dataloader.dataset = plain
    alone = run_test(cfg, fitted, work_dir=cfg.work_dir)
    assert metrics['mIoU'] == alone['mIoU']
    mis = 'uncertainty/epistemic_mis_AUROC'
    assert metrics[mis] == alone[mis]
