"""Abstention from the config to the refused pixel."""

import json
import os
import signal

import pytest
import torch

from mmseg_ddu.apis import (
    DDUInferencer,
    error_counts,
    fit_abstention,
    fit_gda,
    init_ddu,
)
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.engine.stopping import Interrupted
from mmseg_ddu.models.abstention import REFUSED
from mmseg_ddu.registry import DATASETS


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
    smallest = float(str(raised.value).split(' is ')[1].split(';')[0][:5])
    assert 'abstention' not in read_checkpoint(fitted)['meta']
    assert fit_abstention(plain_cfg, fitted, smallest)['coverage'] > 0


def test_another_error_predicts_nothing(plain_cfg, fitted, monkeypatch):
    first = fit_abstention(plain_cfg, fitted, 0.97)
    monkeypatch.setattr(error_counts, '_count', None)
    assert fit_abstention(plain_cfg, fitted, 0.98)['images'] == 4
    assert fit_abstention(plain_cfg, fitted, 0.97) == first


def test_ctrl_c_loses_no_image(plain_cfg, fitted, monkeypatch):
    whole = fit_abstention(
        plain_cfg, fitted, 0.97, out=fitted.with_name('a.pth')
    )
    (journal,) = fitted.parent.glob('*_errors.jsonl')
    journal.unlink()
    count, seen = error_counts._count, []

    def stopping(*args):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return count(*args)

    monkeypatch.setattr(error_counts, '_count', stopping)
    with pytest.raises(Interrupted, match='2 of 4'):
        fit_abstention(plain_cfg, fitted, 0.97)
    with journal.open('a') as file:
        file.write('{"image": 3, "cou')  # a kill within a line
    assert fit_abstention(plain_cfg, fitted, 0.97) == whole
    assert len(seen) == 4


def test_images_of_training_promise_nothing(plain_cfg, fitted):
    plain_cfg.val_dataloader.dataset = plain_cfg.train_dataloader.dataset
    with pytest.raises(
        ValueError, match='12 of the 12 val images were trained'
    ):
        fit_abstention(plain_cfg, fitted, 0.5)


@pytest.mark.parametrize('error', [0, 1, -0.1, float('nan')])
def test_errors_are_shares(plain_cfg, fitted, error):
    with pytest.raises(ValueError, match='Expected error to be in'):
        fit_abstention(plain_cfg, fitted, error)


def test_labels_are_needed(plain_cfg, fitted):
    steps = plain_cfg.val_dataloader.dataset.pipeline
    plain_cfg.val_dataloader.dataset.pipeline = [
        step for step in steps if 'Annotations' not in step['type']
    ]
    with pytest.raises(ValueError, match='has no labels'):
        fit_abstention(plain_cfg, fitted, 0.5)
    plain_cfg.val_dataloader = None
    with pytest.raises(ValueError, match='has no val_dataloader'):
        fit_abstention(plain_cfg, fitted, 0.5)


def test_void_images_do_not_count(plain_cfg, fitted):
    path = fitted
    report = fit_abstention(plain_cfg, path, 0.97)
    (journal,) = fitted.parent.glob('*_errors.jsonl')
    lines = journal.read_text().splitlines()
    for number in range(1, len(lines)):
        row = json.loads(lines[number])
        lines[number] = json.dumps(dict(row, counts=[]))
    journal.write_text('\n'.join(lines) + '\n')
    assert report['images'] == 4
    with pytest.raises(ValueError, match='has a labelled pixel'):
        fit_abstention(plain_cfg, path, 0.97)


def test_sampling_baselines_have_no_calibration(
    demo_cfg, checkpoint, plain_cfg
):
    plain_cfg.model.type = 'mmseg_ddu.MCDropoutEncoderDecoder'
    with pytest.raises(ValueError, match='no calibrated total'):
        fit_abstention(plain_cfg, checkpoint, 0.5)


def test_testing_says_what_is_kept(plain_cfg, fitted, tmp_path):
    report = fit_abstention(plain_cfg, fitted, 0.97, split='test')
    figures = run_test(plain_cfg, fitted, work_dir=tmp_path / 'test')
    for key, name in dict(
        coverage='coverage', error_kept='error_kept', error='error_before'
    ).items():
        expected = pytest.approx(100 * report[name], abs=1e-3)
        assert figures[f'abstention/{key}'] == expected


def test_classes_are_void_where_refused(plain_cfg, fitted, sample_root):
    fit_abstention(plain_cfg, fitted, 0.97)
    image = next(sample_root.rglob('val_0000.jpg'))
    path = fitted.with_name('tight.pth')
    content = read_checkpoint(fitted)
    content['state_dict']['abstention.thresholds'] = torch.full((6,), 1.0)
    torch.save(content, path)
    answer = DDUInferencer(plain_cfg, path, show_progress=False)(str(image))
    classes = answer['predictions']['pred_sem_seg']
    refused = answer['predictions']['pred_total'] > 1.0
    assert 0 < refused.mean() < 1
    assert ((classes == 255) == refused).all()
