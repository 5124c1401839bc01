"""Abstention from the config to the refused pixel."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import (
    DDUInferencer,
    compare,
    error_counts,
    export_onnx,
    fit_abstention,
    fit_gda,
    init_ddu,
)
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.apis.promise import choose_thresholds
from mmseg_ddu.apis.unseen_images import SPLITS
from mmseg_ddu.core.risk_control import LEVELS
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.models.abstention import REFUSED
from mmseg_ddu.registry import DATASETS

from .test_binary import binary

run_test.__test__ = False  # pytest would take it for one


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    return fit_gda(plain_cfg, checkpoint, save_every=None)


def predictions(cfg, path, split='val'):
    model = init_ddu(cfg, path)
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    for item in dataset:
        yield model.test_step(as_batch(item))[0]


def what_is_kept(cfg, path):
    """Shares of each image by a loop over its pixels."""
    kept, wrong = [], []
    for sample in predictions(cfg, path):
        label = sample.gt_sem_seg.data
        known = label != 255
        right = sample.pred_sem_seg.data == label
        there = known & ~sample.get(REFUSED).data
        kept.append(float(there.sum() / known.sum()))
        wrong.append(float((there & ~right).sum() / known.sum()))
    count = len(kept)
    return sum(kept) / count, sum(wrong) / count


@pytest.mark.parametrize('per_class', [False, True])
def test_report_is_what_the_checkpoint_refuses(
    plain_cfg, fitted, per_class, said
):
    report = fit_abstention(plain_cfg, fitted, 0.97, per_class=per_class)
    kept, wrong = what_is_kept(plain_cfg, fitted)
    assert report['coverage'] == pytest.approx(kept, abs=1e-6)
    assert report['error_kept'] == pytest.approx(wrong / kept, abs=1e-6)
    assert report['images'] == 4
    meta = read_checkpoint(fitted)['meta']
    assert meta['abstention']['thresholds'] == report['thresholds']
    if per_class:
        model = init_ddu(plain_cfg, fitted)
        for sample in predictions(plain_cfg, fitted):
            limits = model.abstention.thresholds[sample.pred_sem_seg.data]
            refused = sample.pred_total.data > limits
            assert torch.equal(sample.get(REFUSED).data, refused)


def test_maps_stay_and_the_fit_forgets(
    plain_cfg, checkpoint, fitted, tmp_path
):
    before = list(predictions(plain_cfg, fitted))
    assert all(REFUSED not in sample for sample in before)
    out = tmp_path / 'other.pth'
    fit_abstention(plain_cfg, fitted, 0.97, out=out)
    after = list(predictions(plain_cfg, out))
    for old, new in zip(before, after):
        assert torch.equal(old.pred_total.data, new.pred_total.data)
        assert torch.equal(old.pred_sem_seg.data, new.pred_sem_seg.data)
    assert 'abstention' not in read_checkpoint(fitted)['meta']
    again = fit_gda(plain_cfg, out, save_every=None)
    assert REFUSED not in next(predictions(plain_cfg, again))


def test_an_error_that_cannot_be_reached(plain_cfg, fitted):
    with pytest.raises(
        ValueError, match='smallest that they can is'
    ) as raised:
        fit_abstention(plain_cfg, fitted, 0.01)
    assert 'to promise it, find the threshold on others' in str(raised.value)
    smallest = float(str(raised.value).split(' is ')[1][:5])
    assert 'abstention' not in read_checkpoint(fitted)['meta']
    assert fit_abstention(plain_cfg, fitted, smallest)['coverage'] > 0


def drawn(certain, classes=(0, 1), images=60):
    """Counts of images whose classes err at random, and a model's names."""
    rng = torch.Generator().manual_seed(0)
    return [
        torch.tensor(
            [
                [c, level, 50, int(50 * share * torch.rand((), generator=rng))]
                for c, share in zip(classes, certain)
                for level in (10, 100, LEVELS)
            ]
        )
        for _ in range(images)
    ]


MODEL = SimpleNamespace(
    percentile=lambda name, values: 1 - torch.exp(-values),
    abstention=SimpleNamespace(thresholds=torch.zeros(3)),
    dataset_meta=dict(classes=['road', 'cat', 'tree']),
)


@pytest.mark.parametrize('confidence', [None, 0.9])
def test_classes_that_can_promise_and_classes_that_cannot(confidence, said):
    args = MODEL, drawn([0.01, 0.9]), 0.2, confidence, True
    chosen = choose_thresholds(*args)
    assert chosen[0] > 0 and chosen.tolist()[1:] == [-1, -1]
    (line,) = said
    assert 'cat (60 images) 0.' in line and 'tree (0 images) none' in line
    assert 'road' not in line


@pytest.mark.parametrize('confidence', [None, 0.9])
def test_no_class_can_promise(confidence, said):
    images = drawn([0.4, 0.9])
    with pytest.raises(ValueError, match='60 images cannot promise') as one:
        choose_thresholds(MODEL, images, 0.05, confidence, True)
    assert 'smallest that they can is 0.' in str(one.value)
    assert ', for road (60 images).' in str(one.value) and not said
    with pytest.raises(ValueError, match='nor any other below 1') as none:
        choose_thresholds(MODEL, images[:0], 0.05, confidence, False)
    assert '1.000' not in str(none.value)


def test_another_error_predicts_nothing(plain_cfg, fitted, monkeypatch):
    first = fit_abstention(plain_cfg, fitted, 0.97)
    monkeypatch.setattr(error_counts, '_count', None)
    assert fit_abstention(plain_cfg, fitted, 0.98)['images'] == 4
    assert fit_abstention(plain_cfg, fitted, 0.97) == first


@pytest.mark.parametrize('error', [0, 1, -0.1, float('nan')])
def test_errors_are_shares(plain_cfg, fitted, error):
    with pytest.raises(ValueError, match='Expected error to be in'):
        fit_abstention(plain_cfg, fitted, error)


def test_labels_are_needed(plain_cfg, fitted):
    steps = plain_cfg.val_dataloader.dataset.pipeline
    plain_cfg.val_dataloader.dataset.pipeline = [
        step for step in steps if 'Annotations' not in step['type']
    ]
    with pytest.raises(ValueError, match=r'val_.*\.jpg: no labels'):
        fit_abstention(plain_cfg, fitted, 0.5)
    plain_cfg.val_dataloader = None
    with pytest.raises(ValueError, match='has no val_dataloader'):
        fit_abstention(plain_cfg, fitted, 0.5)


def test_sampling_baselines_have_no_calibration(
    demo_cfg, checkpoint, plain_cfg
):
    plain_cfg.model.type = 'mmseg_ddu.MCDropoutEncoderDecoder'
    with pytest.raises(ValueError, match='has no density'):
        fit_abstention(plain_cfg, checkpoint, 0.5)


def test_testing_says_what_is_kept(plain_cfg, fitted, tmp_path):
    report = fit_abstention(plain_cfg, fitted, 0.97, split='test')
    figures = run_test(plain_cfg, fitted, work_dir=tmp_path / 'test')
    for key, name in dict(
        coverage='coverage', error_kept='error_kept', error='error_before'
    ).items():
        expected = pytest.approx(100 * report[name], abs=1e-3)
        assert figures[f'abstention/{key}'] == expected


def test_classes_are_void_where_refused(
    plain_cfg, fitted, sample_root, tmp_path
):
    fit_abstention(plain_cfg, fitted, 0.97)
    image = next(sample_root.rglob('val_0000.jpg'))
    path = fitted.with_name('tight.pth')
    content = read_checkpoint(fitted)
    content['state_dict']['abstention.thresholds'] = torch.full((6,), 1.0)
    torch.save(content, path)
    inferencer = DDUInferencer(plain_cfg, path, show_progress=False)
    found = inferencer(str(image), out_dir=tmp_path / 'out')['predictions']
    refused = found['pred_total'] > 1.0
    assert 0 < refused.mean() < 1
    assert ((found['pred_sem_seg'] == 255) == refused).all()
    assert found[REFUSED].dtype == bool
    assert (found[REFUSED] == refused).all()
    with Image.open(tmp_path / 'out/pred/abstain/val_0000.png') as mask:
        assert (np.asarray(mask) == 255 * refused).all()


def same_as_in_a_test(cfg, path, folder, **options):
    """What thresholds are said to keep, by the counts of a test."""
    report = fit_abstention(cfg, path, 0.98, split='test', **options)
    figures = run_test(copy.deepcopy(cfg), path, work_dir=folder)
    for key, name in dict(coverage='coverage', error='error_before').items():
        expected = pytest.approx(100 * report[name], abs=1e-3)
        assert figures[f'abstention/{key}'] == expected
    return report


@pytest.mark.parametrize('num_classes, out_channels', [(2, 1), (1, 1)])
def test_one_logit(plain_cfg, tmp_path, num_classes, out_channels):
    args = num_classes, out_channels, 2
    cfg, path = binary(plain_cfg, tmp_path, *args)
    path = fit_gda(cfg, path, save_every=None)
    report = same_as_in_a_test(cfg, path, tmp_path / 'test', per_class=True)
    assert len(report['thresholds']) == 2


def test_windows_zero_labels_and_several_data_sets(
    plain_cfg, checkpoint, tmp_path
):
    """None of which the thresholds need to know of."""
    plain_cfg.model.test_cfg = dict(
        mode='slide', crop_size=(32, 32), stride=(16, 16)
    )
    for split in ('train', 'val', 'test'):
        loader = plain_cfg[f'{split}_dataloader']
        loader.dataset.reduce_zero_label = True
    parts = [plain_cfg[f'{split}_dataloader'].dataset for split in SPLITS]
    both = dict(type='ConcatDataset', datasets=parts)
    plain_cfg.test_dataloader.dataset = both
    path = fit_gda(plain_cfg, checkpoint, save_every=None)
    report = same_as_in_a_test(plain_cfg, path, tmp_path / 'test')
    assert report['images'] == 8
    assert report['test_mode']['mode'] == 'slide'


def test_other_tools_on_a_model_that_refuses(
    plain_cfg, fitted, tmp_path, said
):
    """A comparison is of maps, a graph says what it leaves out."""
    pytest.importorskip('onnxruntime')
    found = []
    for limit in (None, 0.5):
        if limit is not None:
            content = read_checkpoint(fitted)
            limits = torch.full((6,), limit)
            content['state_dict']['abstention.thresholds'] = limits
            torch.save(content, fitted)
        results = compare(
            plain_cfg,
            [f'ddu={fitted}'],
            tmp_path / str(limit),
            shifts=['none'],
            timing_images=0,
            pictures=False,
        )
        entry = results['methods']['ddu-total']
        found.append({k: v for k, v in entry.items() if k != 'checkpoints'})
    assert 'error' not in found[0]
    assert found[0] == found[1]
    said.clear()
    export_onnx(plain_cfg, fitted, tmp_path / 'a.onnx', sizes=[(48, 48)])
    assert 'thresholds of the abstention are not part' in said[0]


def test_thresholds_of_another_mode_than_the_test(plain_cfg, fitted, said):
    resize = dict(type='Resize', scale=(40, 40), keep_ratio=False)
    steps = plain_cfg.val_dataloader.dataset.pipeline
    plain_cfg.val_dataloader.dataset.pipeline = [
        *steps[:1],
        resize,
        *steps[1:],
    ]
    said.clear()
    report = fit_abstention(plain_cfg, fitted, 0.98)
    assert report['test_mode']['resize'][0]['scale'] == (40, 40)
    assert len([line for line in said if 'thresholds' in line]) == 1
    init_ddu(plain_cfg, fitted)
    assert 'thresholds of the abstention were found' in said[-1]
