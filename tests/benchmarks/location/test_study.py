"""The location study on the embedded sample."""

import json
import math

import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks.location.pairs import OTHER_IMAGE
from benchmarks.location.study import location_study
from mmseg_ddu.apis import fit_gda
from mmseg_ddu.apis.inference import init_ddu
from mmseg_ddu.engine.labelled_windows import labelled_image
from mmseg_ddu.engine.labels import labels_on_grid
from mmseg_ddu.registry import DATASETS


@pytest.fixture
def cfg(plain_cfg, checkpoint):
    """A user's config with out-of-distribution masks at test."""
    plain_cfg.test_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmseg_ddu.LoadOoDAnnotations', ood_dir='OoDMask'),
        dict(type='mmseg_ddu.PackDDUInputs'),
    ]
    return plain_cfg


@pytest.fixture
def study(cfg, checkpoint, tmp_path):
    """A study of all pixels of the small sample."""

    def run(**options):
        out = tmp_path / 'study'
        settings = dict(
            grids=(1, 2),
            pixels_per_class=10**6,
            test_pixels=10**6,
            pair_pixels=60,
        )
        settings.update(options)
        return location_study(cfg, checkpoint, out, **settings), out

    return run


def test_files_and_arithmetic(study):
    report, out = study()
    assert json.loads((out / 'location_study.json').read_text()) == report
    text = (out / 'location_study.md').read_text()
    assert '| 2 x 2 |' in text and 'twin_a' in text
    with Image.open(out / 'location_study.png') as picture:
        assert picture.size[0] > 1000
    memory = report['memory']
    numbers = 6 * (12 + 12**2)
    assert memory['one_set_megabytes'] == pytest.approx(numbers * 4e-6)
    height, width = memory['feature_map']
    assert (height, width) == (12, 12)
    assert memory['per_pixel_megabytes'] == pytest.approx(
        144 * memory['one_set_megabytes']
    )
    rows = report['grids']
    assert [row['grid'] for row in rows] == [1, 2]
    assert rows[1]['megabytes'] == pytest.approx(4 * rows[0]['megabytes'])
    # One cell is all of the image, wherever it is moved to.
    assert rows[0]['control'] == {
        key: rows[0][key] for key in ('mis_AUROC', 'ood_AUROC')
    }
    similarity = report['similarity']['raw']
    for means, counts in zip(similarity['means'], similarity['counts']):
        for mean, count in zip(means[OTHER_IMAGE], counts[OTHER_IMAGE]):
            assert (mean is None) == (count == 0)
            assert mean is None or -1 <= mean <= 1


def test_one_cell_is_the_usual_fit(study, cfg, checkpoint):
    """The row of the 1 x 1 grid, against fit_gda and scikit-learn."""
    report, _ = study(gda_head=dict(shrinkage=0.0))
    fitted = fit_gda(
        cfg,
        checkpoint,
        gda_head=dict(preset='ddu-paper'),
        pixels_per_class=None,
        calibration_fraction=0,
    )
    model = init_ddu(cfg, fitted, device='cpu')
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    scores, ood, wrong = [], [], []
    for item in dataset:
        (window,) = labelled_image(model, item).windows(model)
        score = model.gda_head(window.features['penultimate'])
        scores.append(score.flatten())
        grid = score.shape[-2:]
        mask = item['data_samples'].gt_ood_map.data[0]
        ood.append(labels_on_grid(mask, grid).flatten())
        labels = labels_on_grid(window.labels, grid)
        predicted = model.classes_of(window.features['logits'])[0, 0]
        wrong.append((predicted != labels).flatten())
    scores, ood, wrong = map(torch.cat, (scores, ood, wrong))
    judged = ood != 255  # void borders
    scores, ood, wrong = scores[judged], ood[judged], wrong[judged]
    known = ood == 0
    assert set(ood.tolist()) == {0, 1}
    expected = dict(
        ood_AUROC=roc_auc_score(ood, scores),
        mis_AUROC=roc_auc_score(wrong[known], scores[known]),
    )
    for key, value in expected.items():
        assert report['grids'][0][key] == pytest.approx(
            100 * value, abs=0.05
        ), key


def test_seeded_and_limited(study):
    first, _ = study(max_images=2)
    second, _ = study(max_images=2)
    assert first == second
    assert first['images'] == dict(train=2, test=2)
    assert not math.isnan(first['grids'][1]['ood_AUROC'])


def test_grids_must_nest(study):
    with pytest.raises(ValueError, match='divide the largest'):
        study(grids=(2, 3))
