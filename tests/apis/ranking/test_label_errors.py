"""From labels that are hard to believe to the list of images."""

import csv
import json
import os
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from scipy import ndimage
from scipy.special import log_softmax

from mmseg_ddu.apis import fit_gda, init_ddu, rank_images
from mmseg_ddu.apis.ranking import label_errors
from mmseg_ddu.apis.ranking.error_kind import NAMES
from mmseg_ddu.apis.ranking.label_errors import find_label_error
from mmseg_ddu.apis.ranking.worst_region import worst_pixels, worst_region
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.engine.stopping import Interrupted
from mmseg_ddu.registry import DATASETS
from tests.warm_processes import call, run_script

CLASSES = 6


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    return fit_gda(plain_cfg, checkpoint, save_every=None)


@pytest.fixture
def rank(plain_cfg, fitted, tmp_path):
    def run(out='errors.csv', purpose='label-errors', **options):
        return rank_images(
            *(plain_cfg, fitted),
            purpose=purpose,
            out=tmp_path / out,
            **{'budget': 4, **options},
        )

    return run


def expected(cfg, fitted, split='val'):
    """Path to score, box and pair, in float64."""
    model = init_ddu(cfg, fitted)
    found = {}
    for item in DATASETS.build(cfg[f'{split}_dataloader'].dataset):
        sample = model.test_step(as_batch(item))[0]
        logits = sample.seg_logits.data.detach().double().numpy()
        label = sample.gt_sem_seg.data[0].numpy()
        known = label != 255
        rows, columns = np.indices(label.shape)
        where = np.where(known, label, 0), rows, columns
        loss = np.where(known, -log_softmax(logits, 0)[where], -1)
        values = np.sort(loss[known])
        count = int(np.ceil(0.02 * len(values)))
        parts, number = ndimage.label(loss >= values[-count], np.ones((3, 3)))
        sums = ndimage.sum(loss, parts, range(1, number + 1))
        region = parts == 1 + np.argmax(sums)
        (tall, wide) = ndimage.find_objects(region.astype(int))[0]
        box = wide.start, tall.start, wide.stop, tall.stop
        found[sample.metainfo['img_path']] = values[-count:].mean(), box
    return found


def test_scores_and_boxes(plain_cfg, fitted, rank, tmp_path):
    truth = expected(plain_cfg, fitted)
    report = rank()
    rows = report['images']
    order = sorted(truth, key=lambda path: -truth[path][0])
    assert [row['image'] for row in rows] == order
    for row in rows:
        score, (left, top, right, bottom) = truth[row['image']]
        assert row['score'] == pytest.approx(score, rel=1e-5)
        assert row['box'] == (left, top, right - left, bottom - top)
        assert row['label'] in plain_cfg.metainfo.classes
    assert json.loads((tmp_path / 'errors.json').read_text())['ranked'] == 4
    with open(tmp_path / 'errors.csv', newline='') as file:
        lines = list(csv.DictReader(file))
    assert [line['image'] for line in lines] == order
    assert [int(line['rank']) for line in lines] == [1, 2, 3, 4]
    assert int(lines[0]['height']) == rows[0]['box'][3]
    assert [line['kind'] for line in lines] == [row['kind'] for row in rows]
    assert {row['kind'] for row in rows} <= set(NAMES)


def made_sample(labels, predicted, sure=9.0):
    """A prediction that is sure, with labels."""
    sample = SegDataSample()
    logits = sure * F.one_hot(predicted.long(), CLASSES).permute(2, 0, 1)
    fields = dict(
        gt_sem_seg=labels[None],
        pred_sem_seg=predicted[None],
        seg_logits=logits.float(),
    )
    for name, values in fields.items():
        sample.set_data({name: PixelData(data=values)})
    return sample


def found_in(sample):
    model = SimpleNamespace(
        test_step=lambda data: [sample],
        decode_head=SimpleNamespace(ignore_index=255),
    )
    return find_label_error(model, [dict(inputs=torch.zeros(1))], 0)


def test_a_wrong_label_is_found_and_named():
    labels = torch.ones(48, 64, dtype=torch.uint8)
    predicted = labels.clone()
    labels[10:20, 12:32] = 4  # of the surrounding class, for the network
    labels[40:43, 50:60] = 5
    labels[45:48] = 255
    part = found_in(made_sample(labels, predicted))
    assert part['box'].tolist() == [12, 10, 20, 10]
    assert part['pair'].tolist() == [4, 1]
    assert part['kind'] == 'extra object'
    assert part['score'] == pytest.approx(-log_softmax([9, *[0] * 5])[1])


def test_a_network_without_probabilities():
    labels = torch.ones(8, 8, dtype=torch.uint8)
    sample = made_sample(labels, labels)
    sample.seg_logits.data[:] = torch.nan
    with pytest.raises(ValueError, match='no probabilities'):
        found_in(sample)
    sample.seg_logits.data[:, 2, 3] = 0
    part = found_in(sample)
    assert part['score'] == pytest.approx(np.log(CLASSES))
    assert part['box'].tolist() == [3, 2, 1, 1]


def test_binary_heads():
    labels = torch.zeros(8, 8, dtype=torch.uint8)
    sample = made_sample(labels, labels)
    shares = torch.full((1, 8, 8), 0.25)
    shares[0, 2:4, 5] = 0.875
    sample.seg_logits.data = shares
    part = found_in(sample)
    assert part['score'] == pytest.approx(np.log(8))
    assert part['box'].tolist() == [5, 2, 1, 2]


def test_what_was_looked_at_is_not_predicted_again(rank, monkeypatch):
    whole = rank(out='other.csv')
    find, seen = label_errors.find_label_error, []

    def stopping(*args):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return find(*args)

    monkeypatch.setattr(label_errors, 'find_label_error', stopping)
    with pytest.raises(Interrupted, match='2 of 4 images are kept'):
        rank()
    again = rank()
    assert again['images'] == whole['images']
    assert rank(budget=2)['images'] == whole['images'][:2]
    assert len(seen) == 4


def test_what_was_cut_off_is_looked_at_again(rank, tmp_path, said):
    whole = rank(formats=['fiftyone'])
    parts = tmp_path / 'errors_parts'
    kept = [min(parts.glob(f'*_{x}.npz')) for x in ('error', 'classes')]
    for file, left in zip(kept, (200, 0)):
        file.write_bytes(file.read_bytes()[:left])
    said.clear()
    assert rank(formats=['fiftyone']) == whole
    assert len(said) == 2
    for file, line in zip(kept, said):
        assert f'{file} is damaged and measured again' in line


def test_corrected_labels_are_looked_at_again(
    plain_cfg, rank, sample_root, tmp_path
):
    root = shutil.copytree(sample_root, tmp_path / 'mine')
    plain_cfg.val_dataloader.dataset.data_root = str(root)
    before = rank()['images'][0]
    dataset = DATASETS.build(plain_cfg.val_dataloader.dataset)
    infos = map(dataset.get_data_info, range(len(dataset)))
    masks = {info['img_path']: info['seg_map_path'] for info in infos}
    mask = masks[before['image']]
    with Image.open(mask) as opened:
        labels = np.array(opened)
    left, top, width, height = before['box']
    labels[top : top + height, left : left + width] = 255
    Image.fromarray(labels).save(mask)
    after = {row['image']: row for row in rank()['images']}
    assert after[before['image']]['score'] < before['score']


def test_images_that_cannot_be_ranked(
    plain_cfg, rank, sample_root, tmp_path, said
):
    root = shutil.copytree(sample_root, tmp_path / 'mine')
    plain_cfg.val_dataloader.dataset.data_root = str(root)
    dataset = DATASETS.build(plain_cfg.val_dataloader.dataset)
    infos = [dataset.get_data_info(index) for index in range(4)]
    masks = [info['seg_map_path'] for info in infos]
    with Image.open(masks[0]) as opened:
        labels = np.array(opened)
    Image.fromarray(np.full_like(labels, 255)).save(masks[0])
    Image.fromarray(labels[:-1]).save(masks[1])
    Image.fromarray(np.full_like(labels, 77)).save(masks[2])
    report = rank(budget=9)
    reasons = [row['reason'] for row in report['left_out']]
    assert 'no pixel has a label' in reasons[0]
    assert 'the labels are (47, 48)' in reasons[1]
    assert 'label 77, but there are 6 classes' in reasons[2]
    assert len(report['images']) == 1
    told = '\n'.join(said)
    assert 'there are only 1' in told
    for info in infos[:3]:
        assert info['img_path'] in told
    Image.fromarray(labels).convert('RGB').save(masks[3])
    with pytest.raises(ValueError, match='None of the 4 images can be ranked'):
        rank()
    assert f'{masks[3]} has 3 values a pixel' in said[-1]


def test_trained_images_are_named(rank, said):
    report = rank(split='train', budget=12)
    assert len(report['images']) == 12
    assert '12 of 12 images were trained on' in said[0]


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(budget=0), 'budget to be at least 1'),
        (dict(purpose='fun'), "purpose of .* but got 'fun'"),
        (dict(out='x.txt'), 'to end in .csv'),
        (dict(formats=['coco']), "one of .*cvat.* but got 'coco'"),
        (dict(split='all'), "split of .* but got 'all'"),
    ],
)
def test_bad_arguments(rank, options, match):
    with pytest.raises(ValueError, match=match):
        rank(**options)


def test_another_checkpoint_does_not_mix(plain_cfg, fitted, rank, tmp_path):
    rank()
    plain_cfg.val_dataloader.dataset = plain_cfg.test_dataloader.dataset
    with pytest.raises(ValueError, match='belongs to the ranking of another'):
        rank()


def test_the_tool(plain_cfg, fitted, tmp_path):
    plain_cfg.dump(tmp_path / 'config.py')
    paths = [tmp_path / 'config.py', fitted]
    options = ('--for', 'label-errors', '--budget', 2)
    written = ('--out', tmp_path / 'a.csv')
    tool = 'tools/rank_images.py'
    done = call(run_script, tool, *paths, *options, *written)
    assert done.returncode == 0, done.stderr
    assert '2 of 4 images listed, 0 left out' in done.stdout
    done = call(run_script, tool, paths[0], '--for', 'label-errors')
    assert done.returncode == 2
    assert 'give CONFIG and CHECKPOINT_gda.pth' in done.stderr


@pytest.mark.parametrize('count', [1, 49, 50, 51, 5000])
def test_worst_share(count):
    values = np.random.default_rng(count).random((1, count)) + 1
    values = np.concatenate([values, np.full((1, count), np.nan)])
    score, worst = worst_pixels(values)
    number = -(-count // 50)
    assert worst.sum() == number
    assert score == pytest.approx(np.sort(values[0])[-number:].mean())


def test_a_tie_and_a_single_pixel():
    values = np.full((4, 5), 2.0)
    score, worst = worst_pixels(values)
    region, box = worst_region(values, worst)
    assert score == 2 and worst.all() and region.all()
    assert box == (0, 0, 5, 4)
