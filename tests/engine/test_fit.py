"""Fitting against a float64 loop over the whole data set."""

import json
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmseg.models import EncoderDecoder
from PIL import Image

from mmseg_ddu.apis import fit_gda, init_ddu, predict
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.engine.build import build_ddu
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.models.convert import to_ddu_model

from .fitted_density import density


def all_features(cfg, checkpoint):
    """Every feature and label of the training images, kept in memory."""
    model = build_ddu(
        to_ddu_model(cfg.model),
        read_checkpoint(checkpoint)['state_dict'],
        str(checkpoint),
    )
    root = Path(cfg.data_root)
    names = (root / 'ImageSets/Segmentation/train.txt').read_text().split()
    features, labels = [], []
    for name in names:
        image = np.asarray(Image.open(root / f'JPEGImages/{name}.jpg'))
        mask = np.asarray(Image.open(root / f'SegmentationClass/{name}.png'))
        x = torch.tensor(image).permute(2, 0, 1).float()
        mean = model.data_preprocessor.mean.cpu()
        x = (x - mean) / model.data_preprocessor.std.cpu()
        grabbed = []
        handle = model.decode_head.conv_seg.register_forward_pre_hook(
            lambda _, args, grabbed=grabbed: grabbed.append(args[0])
        )
        with torch.no_grad():
            model._forward(x[None])
        handle.remove()
        z = grabbed[0][0]
        step = mask.shape[0] // z.shape[1]
        # The centre of an even cell lies between pixels; mmseg's rounding
        # takes the one below and to the right.
        grid = mask[step // 2 :: step, step // 2 :: step]
        features.append(z.flatten(1).T.double())
        labels.append(torch.tensor(grid.copy()).flatten().long())
    return torch.cat(features), torch.cat(labels)


def test_fit_equals_a_float64_loop(plain_cfg, checkpoint, tmp_path):
    z, labels = all_features(plain_cfg, checkpoint)
    out = fit_gda(
        plain_cfg,
        checkpoint,
        gda_head=dict(preset='ddu-paper'),
        pixels_per_class=None,
    )
    assert out == tmp_path / 'weights_gda.pth'
    got = density(out)
    for label in range(6):
        chosen = z[labels == label]
        assert got['class_count'][label] == len(chosen)
        mean = got['means'][label].double() + got['offset'].double()
        np.testing.assert_allclose(mean, chosen.mean(0), rtol=1e-4, atol=1e-5)
    report = json.loads(out.with_suffix('.json').read_text())
    added = report['heads'][0]['added']
    # The precision of a well-filled class is the inverse covariance.
    factor = got['precisions_cholesky'][0].double()
    covariance = torch.linalg.inv(factor @ factor.T)
    np.testing.assert_allclose(
        covariance,
        np.cov(z[labels == 0].T) + added * np.eye(12),
        rtol=1e-3,
        atol=1e-3 * added,
    )


def test_seeded_and_independent_of_workers(plain_cfg, checkpoint, tmp_path):
    first = density(fit_gda(plain_cfg, checkpoint, pixels_per_class=9))
    second = density(
        fit_gda(
            plain_cfg,
            checkpoint,
            tmp_path / 'b.pth',
            pixels_per_class=9,
            num_workers=2,
        )
    )
    other = density(
        fit_gda(
            plain_cfg,
            checkpoint,
            tmp_path / 'c.pth',
            pixels_per_class=9,
            seed=1,
        )
    )
    for key in first:
        assert torch.equal(first[key], second[key]), key
    assert not torch.equal(first['means'], other['means'])


def test_refit_of_a_fitted_checkpoint(plain_cfg, checkpoint, tmp_path):
    first = fit_gda(plain_cfg, checkpoint)
    again = fit_gda(
        plain_cfg, first, tmp_path / 'x.pth', gda_head=dict(rank=4)
    )
    assert density(again)['basis'].shape == (12, 4)


def test_several_heads(plain_cfg, checkpoint, tmp_path):
    """The checkpoint alone says which heads there are."""
    extra = dict(norm=dict(preset='ddu-paper'), deep=dict(tap='backbone[3]'))
    plain = fit_gda(plain_cfg, checkpoint)
    out = fit_gda(plain_cfg, checkpoint, tmp_path / 'x.pth', extra_heads=extra)
    image = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)
    sample, alone = (
        predict(init_ddu(plain_cfg, path, 'cpu'), image)
        for path in (out, plain)
    )
    for name in ('', '_norm', '_deep'):
        values = sample.get(f'pred_epistemic{name}').data
        shares = sample.get(f'pred_epistemic{name}_percentile').data
        assert values.shape == shares.shape == (1, 40, 56)
        assert ((shares >= 0) & (shares <= 1)).all()
    for name in ('pred_epistemic', 'pred_total', 'pred_total_percentile'):
        assert torch.equal(sample.get(name).data, alone.get(name).data)
    report = json.loads(out.with_suffix('.json').read_text())
    assert [row['tap'] for row in report['heads']] == [
        *('penultimate', 'penultimate', 'backbone[3]')
    ]


def test_novelty_in_checkpoint_and_prediction(plain_cfg, checkpoint):
    out = fit_gda(plain_cfg, checkpoint)
    state = read_checkpoint(out)['state_dict']
    assert state['image_novelty.quantiles'].abs().sum() > 0
    model = init_ddu(plain_cfg, out, 'cpu')
    root = Path(plain_cfg.data_root) / 'JPEGImages'
    own = [predict(model, path) for path in sorted(root.glob('train*'))]
    shares = [float(s.image_novelty_percentile) for s in own]
    assert max(shares) <= 1 and sorted(shares)[6] < 0.9
    noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    strange = predict(model, noise)
    assert strange.image_novelty > max(s.image_novelty for s in own)
    assert strange.image_novelty_percentile > 0.95


def test_slide_mode_fits_on_windows(plain_cfg, checkpoint, tmp_path):
    whole = density(fit_gda(plain_cfg, checkpoint))
    plain_cfg.model.test_cfg = dict(
        mode='slide', crop_size=(48, 48), stride=(24, 24)
    )
    one = density(fit_gda(plain_cfg, checkpoint, tmp_path / 'one.pth'))
    torch.testing.assert_close(one['means'], whole['means'])
    plain_cfg.model.test_cfg.update(crop_size=(32, 32), stride=(16, 16))
    many = density(fit_gda(plain_cfg, checkpoint, tmp_path / 'many.pth'))
    # 48 pixels make two windows of 32 each way, of 8 x 8 features.
    for got, cells in ((many, 12 * 4 * 64), (whole, 12 * 144)):
        assert 0.8 * cells < got['class_count'].sum() <= cells  # void borders


def test_reduce_zero_label_and_void(plain_cfg, checkpoint, tmp_path):
    """Label 0 becomes void and all others move down."""
    dataset = plain_cfg.train_dataloader.dataset
    full = density(fit_gda(plain_cfg, checkpoint))['class_count']
    dataset.reduce_zero_label = True
    reduced = fit_gda(plain_cfg, checkpoint, tmp_path / 'r.pth')
    assert density(reduced)['class_count'].tolist() == [*full[1:], 0]


def test_types_as_classes(plain_cfg, checkpoint, tmp_path):
    """And the preprocessor beside the model, where a Runner looks too."""
    wanted = density(fit_gda(plain_cfg, checkpoint))
    plain_cfg.data_preprocessor = plain_cfg.model.pop('data_preprocessor')
    plain_cfg.model.type = EncoderDecoder
    steps = plain_cfg.train_dataloader.dataset.pipeline
    steps[0].type, steps[1].type = LoadImageFromFile, LoadAnnotations
    steps[-1].type = PackSegInputs
    got = density(fit_gda(plain_cfg, checkpoint, tmp_path / 'b.pth'))
    for key, value in wanted.items():
        assert torch.equal(got[key], value), key


def test_real_foreign_checkpoint(
    voc_animals, voc5_weights, tmp_path, monkeypatch
):
    """Plain mmseg config, bare state dict, real images."""
    monkeypatch.setenv('VOC_ANIMALS', str(voc_animals))
    configs = Path(__file__).resolve().parents[2] / 'configs' / 'ddu'
    (path,) = configs.glob('*voc-animals5*')
    cfg = Config.fromfile(path)
    cfg.model.type = 'EncoderDecoder'
    cfg.model.pop('gda_head')
    cfg.train_dataloader.dataset.dataset.indices = 60
    out = fit_gda(cfg, voc5_weights, tmp_path / 'gda.pth', num_workers=0)
    got = density(out)
    assert got['fitted'] and (got['class_count'] > 0).sum() >= 4
    assert all(
        torch.isfinite(got[name]).all()
        for name in ('means', 'precisions_cholesky', 'shifts')
    )


def test_not_fitted_error_is_importable_from_core():
    assert issubclass(NotFittedError, ValueError)


def test_temperature_divides_the_logits(plain_cfg, checkpoint, tmp_path):
    plain = fit_gda(plain_cfg, checkpoint, tmp_path / 'plain.pth')
    warm = fit_gda(
        plain_cfg, checkpoint, tmp_path / 'warm.pth', temperature=True
    )
    report = json.loads(warm.with_suffix('.json').read_text())
    value = report['calibration']['temperature']
    assert value != 1
    image = next((Path(plain_cfg.data_root) / 'JPEGImages').glob('test*.jpg'))
    before, after = (
        predict(init_ddu(plain_cfg, path, device='cpu'), str(image))
        for path in (plain, warm)
    )
    torch.testing.assert_close(
        after.seg_logits.data * value, before.seg_logits.data
    )
    assert torch.equal(after.pred_sem_seg.data, before.pred_sem_seg.data)
    torch.testing.assert_close(
        after.pred_epistemic.data, before.pred_epistemic.data
    )
    probabilities = after.seg_logits.data.double().softmax(0)
    entropy = -(probabilities * probabilities.log()).sum(0)
    torch.testing.assert_close(
        after.pred_aleatoric.data[0].double(), entropy, rtol=1e-4, atol=1e-5
    )


def test_seeds_agree(plain_cfg, checkpoint, tmp_path):
    """Nothing rests on which pixels and held-out images were chosen."""
    found = []
    for seed in range(4):
        out = fit_gda(
            plain_cfg,
            checkpoint,
            tmp_path / f'{seed}.pth',
            pixels_per_class=64,
            calibration_fraction=0.25,
            seed=seed,
        )
        found.append(_shift_auroc(init_ddu(plain_cfg, out, 'cpu')))
    assert max(found) - min(found) <= 0.01


def _shift_auroc(model, seed=0):
    """Of noisy against the same clean images, pixel by pixel."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    root = Path(model.cfg.data_root) / 'JPEGImages'
    scores, noisy = [], []
    for path in sorted(root.glob('[tv]e*')) + sorted(root.glob('val*')):
        image = np.asarray(Image.open(path))[..., ::-1]
        other = image + rng.normal(0, 40, image.shape)
        for shifted, pixels in enumerate((image, other)):
            pixels = np.clip(pixels, 0, 255).astype(np.uint8)
            values = predict(model, pixels).pred_epistemic.data.flatten()
            scores.append(values)
            noisy.append(np.full(len(values), shifted))
    return roc_auc_score(np.concatenate(noisy), np.concatenate(scores))


def test_fit_is_one_pass(plain_cfg, checkpoint, monkeypatch):
    """Held-out images included: each goes through the network once."""
    seen = []
    encode = EncoderDecoder.encode_decode

    def watched(self, inputs, metas):
        seen.append(inputs.double().sum().item())
        return encode(self, inputs, metas)

    monkeypatch.setattr(EncoderDecoder, 'encode_decode', watched)
    out = fit_gda(plain_cfg, checkpoint)
    report = json.loads(out.with_suffix('.json').read_text())
    assert report['images'] == 12 > report['held_out_images'] > 0
    assert report['calibration']['held_out'] is True
    seen = seen[-12:] if len(seen) == 13 else seen  # the look at channels
    assert len(seen) == len(set(seen)) == 12
