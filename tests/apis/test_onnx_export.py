"""ONNX files in onnxruntime against the model's own prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmseg_ddu.apis import export_onnx, fit_gda, init_ddu, predict
from mmseg_ddu.apis.onnx_export import (
    OUTPUTS,
    difference,
    require_close,
    to_input,
)
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE
from mmseg_ddu.registry import MODELS

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnx')


def drawn(height, width):
    """Blobs, so that regions of several classes come up."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


@pytest.mark.parametrize(
    'head, temperature',
    [
        (dict(), True),
        (dict(preset='ddu-paper'), False),
        (dict(components=2, transform=['null_space', 'direction']), False),
    ],
)
def test_the_file_predicts_what_the_model_predicts(
    plain_cfg, checkpoint, tmp_path, head, temperature
):
    weights = fit_gda(
        plain_cfg, checkpoint, gda_head=head, temperature=temperature
    )
    out = tmp_path / 'model.onnx'
    sizes = ((48, 48), (57, 83))
    report = export_onnx(
        plain_cfg, weights, out, images=[drawn(64, 64)], sizes=sizes
    )
    assert [tuple(row['size']) for row in report['checks']] == list(sizes)
    assert report['bytes'] == out.stat().st_size > 0
    assert not list(tmp_path.glob('.tmp-*'))
    session = onnxruntime.InferenceSession(
        str(out), providers=['CPUExecutionProvider']
    )
    assert tuple(o.name for o in session.get_outputs()) == OUTPUTS
    model = init_ddu(plain_cfg, weights, 'cpu')
    for size in ((64, 48), (96, 128)):  # neither traced nor checked
        image = drawn(*size)
        data = to_input(image, size).numpy()
        got = dict(zip(OUTPUTS, session.run(None, dict(image=data))))
        assert got['class'].shape == (1, 1, *size)
        sample = predict(model, image)
        same = got['class'][0] == sample.pred_sem_seg.data.numpy()
        assert same.mean() > 0.999
        expected = {
            name: sample.get(f'pred_{name}').data.numpy()
            for each in MAPS
            for name in (each, each + PERCENTILE)
        }
        for name in (NOVELTY, NOVELTY + PERCENTILE):
            expected[name] = sample.get(name).numpy()
        for name, want in expected.items():
            unit = max(1, np.abs(want).max())
            steep = name == 'total' or name.endswith(PERCENTILE)
            gap = np.abs(got[name][0] - want).max() / unit
            assert gap < (1e-2 if steep else 1e-3), name


@pytest.mark.parametrize('covariance_type', ['diag', 'tied', 'full'])
def test_a_classifier_of_gaussians_is_in_the_file(
    plain_cfg, tmp_path, covariance_type
):
    head = plain_cfg.model.decode_head
    gaussian = dict(dim=8, covariance_type=covariance_type)
    head.update(
        type='mmseg_ddu.GaussianHead', head=head.type, gaussian=gaussian
    )
    model = MODELS.build(plain_cfg.model)
    classifier = model.decode_head.conv_seg
    torch.nn.init.normal_(classifier.shift)
    drawn_vectors = torch.randn(1, 8, 12, 12) @ torch.randn(12, 12)
    classifier.seen = torch.nn.functional.normalize(drawn_vectors)
    classifier.observe(torch.arange(144).view(1, 12, 12) % 6)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    weights = fit_gda(plain_cfg, tmp_path / 'weights.pth')
    out = tmp_path / 'model.onnx'
    report = export_onnx(
        plain_cfg, weights, out, images=[drawn(64, 64)], sizes=((48, 48),)
    )
    assert len(report['checks']) == 1 and out.stat().st_size


def test_a_file_that_differs_is_not_written(plain_cfg, checkpoint, tmp_path):
    weights = fit_gda(plain_cfg, checkpoint)
    out = tmp_path / 'model.onnx'
    with pytest.raises(ValueError, match='differs'):
        export_onnx(plain_cfg, weights, out, sizes=((48, 48),), tolerance=-1.0)
    assert not out.exists()
    with pytest.raises(FileNotFoundError, match='absent'):
        export_onnx(
            plain_cfg,
            weights,
            out,
            images=[tmp_path / 'absent.png'],
            sizes=((48, 48),),
        )
    assert not out.exists()
    with pytest.raises(NotFittedError):
        export_onnx(plain_cfg, checkpoint, out)


def test_a_slide_config_is_refused_and_its_windows_are_not(
    plain_cfg, checkpoint, tmp_path
):
    """Windows cut outside and averaged give the engine's epistemic map."""
    windows = dict(mode='slide', crop_size=(48, 48), stride=(32, 32))
    plain_cfg.model.test_cfg = windows
    weights = fit_gda(plain_cfg, checkpoint)
    out, options = tmp_path / 'model.onnx', dict(sizes=((48, 48),))
    with pytest.raises(ValueError, match='model.test_cfg.mode=whole'):
        export_onnx(plain_cfg, weights, out, **options)
    assert not out.exists()
    image = drawn(48, 80)
    expected = predict(init_ddu(plain_cfg, weights, 'cpu'), image)
    plain_cfg.model.test_cfg.mode = 'whole'
    export_onnx(plain_cfg, weights, out, **options)
    session = onnxruntime.InferenceSession(
        str(out), providers=['CPUExecutionProvider']
    )
    data = to_input(image, (48, 80)).numpy()
    total, count = np.zeros((48, 80)), np.zeros((48, 80))
    for x in (0, 32):
        part = dict(image=data[..., x : x + 48])
        total[:, x : x + 48] += session.run(['epistemic'], part)[0][0, 0]
        count[:, x : x + 48] += 1
    want = expected.pred_epistemic.data[0].numpy()
    assert np.abs(total / count - want).max() < 1e-3 * np.abs(want).max()


def test_a_wrong_number_anywhere_is_noticed():
    good = dict.fromkeys(OUTPUTS, 0.0)
    require_close([good], 1e-3)
    for value in (float('nan'), 0.1):
        with pytest.raises(ValueError, match='differs'):
            require_close([good, dict(good, aleatoric=value), good], 1e-3)
    steep = dict(good, total=5e-3, epistemic_percentile=5e-3)
    require_close([steep], 1e-3)
    with pytest.raises(ValueError, match='differs'):
        require_close([dict(good, total=5e-2)], 1e-3)
    want = np.array([1.0, 4.0])
    assert difference('epistemic', want, want + [0, 1]) == 0.25
    assert np.isnan(difference('epistemic', want, want + [np.nan, 0]))
    assert difference('class', want, want + [0, 1]) == 0.5
    with pytest.raises(ValueError, match='size of its input'):
        difference('class', want, want[:1])


def test_to_input_keeps_the_pixels():
    image = drawn(16, 24)
    batch = to_input(image, (16, 24))
    assert batch.shape == (1, 3, 16, 24) and batch.dtype == torch.float32
    assert (batch[0].permute(1, 2, 0).numpy() == image).all()
