"""IoU against scikit-learn; the fast path against whole predictions."""

import copy

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from benchmarks.training import few_shot
from mmseg_ddu.apis import add_class, fit_gda, init_ddu, predict
from mmseg_ddu.registry import DATASETS


def test_iou_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (40, 40))
    labels[labels == 4] = 255
    new = rng.random((40, 40)) < 0.1
    predicted = rng.integers(0, 5, (40, 40))
    confusion = few_shot.Confusion(4)
    for part in (slice(20), slice(20, 40)):
        confusion.update(
            *(torch.from_numpy(a[part]) for a in (labels, new, predicted))
        )
    found = confusion.figures()
    truth = np.where(new, 4, labels)
    known = truth <= 4
    ious = jaccard_score(truth[known], predicted[known], average=None)
    assert found['new'] == pytest.approx(100 * ious[4])
    assert found['all'] == pytest.approx(100 * ious.mean())
    old = truth < 4
    ious = jaccard_score(
        truth[old], predicted[old], average=None, labels=range(4)
    )
    assert found['old'] == pytest.approx(100 * ious.mean())


def test_predictions_are_those_of_the_grown_model(plain_cfg, checkpoint):
    head = dict(covariance_type='tied')
    model = init_ddu(plain_cfg, fit_gda(plain_cfg, checkpoint, gda_head=head))
    dataset = DATASETS.build(copy.deepcopy(model.cfg.test_dataloader.dataset))
    dataset.full_init()
    file = dataset.get_data_info(0)['img_path']
    mask = np.zeros(cv2.imread(file).shape[:2], bool)
    mask[20:, :] = True
    grown = copy.deepcopy(model)
    add_class(grown, [file], [mask], 'lower')
    case = few_shot.Case('lower', 1, 0)
    heads = {case: grown.gda_head}
    with torch.no_grad():
        _, found, _ = few_shot.predictions(model, dataset[0], heads)
    expected = predict(grown, file).pred_sem_seg.data[0]
    assert torch.equal(found[case], expected)
    assert torch.equal(found[None], predict(model, file).pred_sem_seg.data[0])
    assert not torch.equal(found[None], found[case])


def test_images_show_the_class(tmp_path):
    (tmp_path / 'JPEGImages').mkdir()
    (tmp_path / 'SegmentationClassAug').mkdir()
    (tmp_path / 'train_aug.txt').write_text('a\nb\nc\n')
    for stem, share in (('a', 0.5), ('b', 0.0), ('c', 0.005)):
        mask = np.zeros((20, 20), np.uint8)
        mask.flat[: round(share * 400)] = 13
        cv2.imwrite(str(tmp_path / f'SegmentationClassAug/{stem}.png'), mask)
    ((image, mask),) = few_shot.images_of(tmp_path, 13, 3, 0)
    assert image.endswith('a.jpg') and mask.sum() == 200
