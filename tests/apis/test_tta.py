"""Test-time augmentation through the tools' functions."""

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_ddu.apis import export, fit_gda, init_ddu, predict, test
from mmseg_ddu.models.map_names import MAPS, PERCENTILE

# pytest would take it for a test.
test_checkpoint, test_checkpoint.__test__ = test, False
del test


def test_predict_test_and_export(plain_cfg, checkpoint, tmp_path):
    config = tmp_path / 'config.py'
    plain_cfg.dump(config)
    fitted = fit_gda(plain_cfg, checkpoint)

    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 56, 3), np.uint8)
    got = predict(init_ddu(config, fitted, tta=True), image)
    model = init_ddu(config, fitted)
    one = predict(model, image)
    two = predict(model, np.ascontiguousarray(image[:, ::-1]))
    for name in MAPS:
        field = f'pred_{name}'
        mirrored = two.get(field).data.flip(-1)
        torch.testing.assert_close(
            got.get(field).data, (one.get(field).data + mirrored) / 2
        )
        torch.testing.assert_close(
            got.get(field + PERCENTILE).data,
            model.percentile(name, got.get(field).data),
        )

    path = tmp_path / 'photo.png'
    Image.fromarray(image[:, :, ::-1]).save(path)
    out = tmp_path / 'maps'
    manifest = export(config, fitted, path, out, pictures=False, tta=True)
    assert manifest['tta'] is True
    np.testing.assert_allclose(
        np.load(out / 'epistemic' / 'photo.npy'),
        got.pred_epistemic.data[0],
        rtol=1e-5,
    )

    plain = test_checkpoint(Config.fromfile(config), fitted)
    merged = test_checkpoint(Config.fromfile(config), fitted, tta=True)
    assert set(merged) == set(plain)
    key = 'uncertainty/epistemic_mis_AUROC'
    assert merged[key] != plain[key]
