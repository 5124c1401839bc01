"""Exports of fitted, unfitted, wrong and sampled models."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_ddu.apis import export, fit_gda, init_ddu, predict
from mmseg_ddu.apis.inference import prepare
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.core.image_statistics import ImageStatistics
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE, STATISTICS


@pytest.fixture
def fitted(plain_cfg, checkpoint, tmp_path):
    """A user's config file and a fitted checkpoint."""
    config = tmp_path / 'config.py'
    plain_cfg.dump(config)
    return config, fit_gda(plain_cfg, checkpoint)


def preprocessed(model, path):
    data = prepare(model, path)
    return model.data_preprocessor(data)['inputs']


def test_maps_are_those_of_the_model(fitted, photos, tmp_path):
    manifest = export(*fitted, photos / '0.png', tmp_path / 'maps')
    (row,) = manifest['images']
    model = init_ddu(*fitted)
    sample = predict(model, photos / '0.png')
    out = tmp_path / 'maps'
    epistemic = np.load(out / row['files']['epistemic'])
    np.testing.assert_allclose(
        epistemic, sample.pred_epistemic.data[0], rtol=1e-5
    )
    np.testing.assert_allclose(
        np.load(out / row['files']['aleatoric']),
        sample.pred_aleatoric.data[0],
        rtol=1e-5,
    )
    for name in MAPS:
        field = sample.get(f'pred_{name}{PERCENTILE}').data[0]
        file = out / row['files'][f'{name}{PERCENTILE}']
        np.testing.assert_allclose(np.load(file), field, rtol=1e-5)
    total = np.load(out / row['files'][f'total{PERCENTILE}'])
    assert row['unusual_share'] == pytest.approx((total > 0.95).mean())
    assert row[NOVELTY] == pytest.approx(sample.metainfo[NOVELTY])
    assert 0 <= row[NOVELTY + PERCENTILE] <= 1
    statistics = ImageStatistics(3)(preprocessed(model, photos / '0.png'))[0]
    assert row[STATISTICS] == pytest.approx(statistics.tolist(), rel=1e-4)
    classes = np.asarray(Image.open(out / row['files']['class']))
    counts = {str(c): int((classes == c).sum()) for c in np.unique(classes)}
    assert row['class_pixels'] == counts
    palette = Image.open(out / row['files']['class']).getpalette()[:6]
    assert palette == [40, 40, 40, 214, 69, 65]


def test_mmsegs_own_inference_reads_the_fitted_file(
    plain_cfg, checkpoint, photos
):
    """With a config of ours, whose test pipeline loads OoD masks."""
    from mmseg.apis import inference_model, init_model

    cfg = plain_cfg
    fitted = fit_gda(cfg, checkpoint)
    cfg.model.type = 'mmseg_ddu.DDUEncoderDecoder'
    cfg.test_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmseg_ddu.LoadOoDAnnotations', ood_dir='OoDMask'),
        dict(type='mmseg_ddu.PackDDUInputs'),
    ]
    cfg.test_dataloader.dataset.pipeline = cfg.test_pipeline
    model = init_model(cfg, str(fitted), 'cpu')
    theirs = inference_model(model, str(photos / '0.png'))
    ours = predict(init_ddu(cfg, fitted), photos / '0.png')
    torch.testing.assert_close(
        theirs.pred_epistemic.data, ours.pred_epistemic.data
    )


def test_unfitted_checkpoint(plain_cfg, checkpoint, photos, tmp_path):
    config = tmp_path / 'config.py'
    plain_cfg.dump(config)
    with pytest.raises(NotFittedError, match='fit_gda.py'):
        init_ddu(config, checkpoint)
    with pytest.raises(NotFittedError):
        export(config, checkpoint, photos, tmp_path / 'maps')


def test_densities_of_another_network(fitted, plain_cfg, tmp_path):
    content = torch.load(fitted[1], weights_only=True)
    content['meta']['gda']['head']['rank'] = 5
    torch.save(content, tmp_path / 'wrong.pth')
    with pytest.raises(ValueError, match='fitted for another'):
        init_ddu(fitted[0], tmp_path / 'wrong.pth')


def test_mc_dropout_exports_the_same_maps(
    plain_cfg, checkpoint, photos, tmp_path
):
    plain_cfg.model.type = 'mmseg_ddu.MCDropoutEncoderDecoder'
    plain_cfg.dump(tmp_path / 'mc.py')
    manifest = export(
        tmp_path / 'mc.py', checkpoint, photos / '0.png', tmp_path / 'maps'
    )
    assert set(manifest['maps']) == set(MAPS)
    (row,) = manifest['images']
    assert row['epistemic_max'] > 0
    assert NOVELTY not in row and 'unusual_share' not in row


def test_real_photographs(voc_animals, voc5_weights, tmp_path, monkeypatch):
    """A foreign checkpoint, fitted and exported on real images."""
    monkeypatch.setenv('VOC_ANIMALS', str(voc_animals))
    configs = Path(__file__).resolve().parents[3] / 'configs' / 'ddu'
    (path,) = configs.glob('*voc-animals5*')
    cfg = Config.fromfile(path)
    cfg.train_dataloader.dataset.dataset.indices = 60
    out = fit_gda(cfg, voc5_weights, tmp_path / 'gda.pth', num_workers=0)
    names = (
        (voc_animals / 'ImageSets/Segmentation/val.txt').read_text().split()
    )
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in names[:3]:
        shutil.copy(voc_animals / 'JPEGImages' / f'{name}.jpg', folder)
    manifest = export(path, out, folder, tmp_path / 'maps')
    assert manifest['num_exported'] == 3
    for row in manifest['images']:
        assert 0 < row['total_percentile_mean'] < 1
        assert 0 <= row['image_novelty_percentile'] <= 1
        assert row['aleatoric_max'] > 0.3
