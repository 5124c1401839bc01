"""What methods share must not change what each says alone."""

import pytest
import torch
from mmengine.config import ConfigDict

from mmseg_ddu.apis.compare.method_names import parse_methods
from mmseg_ddu.apis.compare.predictors import Predictor, group_methods
from mmseg_ddu.apis.inference import init_ddu
from mmseg_ddu.engine.build import build_ddu, build_ensemble
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.models.convert import to_mc_dropout_model, to_plain_model
from mmseg_ddu.registry import DATASETS, MODELS


@pytest.fixture
def images(demo_cfg):
    return DATASETS.build(demo_cfg.test_dataloader.dataset)


def predict(names, cfg, images, stride=1):
    methods = parse_methods(names)
    assert len(group_methods(methods)) == 1
    predictor = Predictor(methods, cfg, 'cpu', images.metainfo)
    torch.manual_seed(4)
    return predictor(as_batch(images[0]), stride)


def expected(model, images):
    torch.manual_seed(4)
    with torch.no_grad():
        (sample,) = model.test_step(as_batch(images[0]))
    return sample


def test_groups(names, tmp_path):
    a = names[0].partition('=')[2]
    found = group_methods(
        parse_methods([*names, f'energy={a}', f'msp={tmp_path / "absent"}'])
    )
    assert [[method.name for method in group] for group in found] == [
        ['entropy', 'energy'],
        ['max_logit', 'ddu'],
        ['ddu-much'],
        ['mc_dropout2'],
        ['mc_dropout3'],
        ['ensemble'],
        ['msp'],
    ]


@pytest.mark.parametrize('stride', [1, 3])
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_rows_of_densities(names, files, demo_cfg, images, stride, mode):
    if mode == 'slide':
        demo_cfg.model.test_cfg = ConfigDict(
            mode='slide', crop_size=(32, 32), stride=(16, 16)
        )
    entropy = f'entropy={files["little"]}'
    _, got = predict([entropy, *names[1:3]], demo_cfg, images, stride)
    sample = expected(init_ddu(demo_cfg, files['little'], 'cpu'), images)
    thin = (0, slice(None, None, stride), slice(None, None, stride))
    close = dict(rtol=1e-4, atol=1e-4)
    for row, field in (
        ('ddu-epistemic', 'pred_epistemic'),
        ('ddu-total', 'pred_total'),
        ('entropy', 'pred_aleatoric'),
    ):
        values = sample.get(field).data[thin]
        torch.testing.assert_close(got[row], values, **close)
    logits = sample.seg_logits.data[:, thin[1], thin[2]]
    torch.testing.assert_close(got['max_logit'], -logits.amax(0), **close)
    constant = torch.full(logits.shape[1:], float(sample.image_novelty))
    torch.testing.assert_close(got['constant-per-image'], constant)
    _, alone = predict([names[0]], demo_cfg, images, stride)
    torch.testing.assert_close(alone['entropy'], got['entropy'], **close)


@pytest.mark.parametrize('stride', [1, 4])
def test_sampling(names, files, demo_cfg, images, stride):
    weights = read_checkpoint(files['a'])['state_dict']
    config = to_mc_dropout_model(demo_cfg.model, num_passes=2)
    dropout = build_ddu(config, weights, 'a', 'cpu')
    members = [files[name] for name in 'abc']
    ensemble = build_ensemble(demo_cfg.model, members, 'cpu')
    for name, model in ((names[4], dropout), (names[6], ensemble)):
        got, scores = predict([name], demo_cfg, images, stride)
        sample = expected(model, images)
        title = name.partition('=')[0]
        for score, field in (('mi', 'epistemic'), ('pe', 'total')):
            torch.testing.assert_close(
                scores[f'{title}-{score}'],
                sample.get(f'pred_{field}').data[0, ::stride, ::stride],
                rtol=1e-4,
                atol=1e-5,
            )
        classes = got['pred_sem_seg']['data']
        assert torch.equal(classes, sample.pred_sem_seg.data)


def test_dropout_behind_the_backbone(files, demo_cfg, images):
    name = f'mc_dropout2-backbone0.4={files["a"]}'
    _, got = predict([name], demo_cfg, images)
    _, head = predict([f'mc_dropout2={files["a"]}'], demo_cfg, images)
    inner = got['mc_dropout2-backbone0.4-mi']
    assert inner.mean() > 2 * head['mc_dropout2-mi'].mean()


@pytest.mark.parametrize('stride', [1, 2])
def test_binary_head(demo_cfg, images, tmp_path, stride):
    """mmseg hands out probabilities; the scores need logits."""
    demo_cfg.model.decode_head.update(num_classes=2, out_channels=1)
    model = MODELS.build(to_plain_model(demo_cfg.model))
    file = tmp_path / 'binary.pth'
    torch.save(model.state_dict(), file)
    meta = dict(classes=['ground', 'rest'])
    methods = parse_methods([f'entropy={file}'])
    predictor = Predictor(methods, demo_cfg, 'cpu', meta)
    sample, got = predictor(as_batch(images[0]), stride)
    probability = sample['seg_logits']['data'][0, ::stride, ::stride]
    pair = torch.stack([probability, 1 - probability], -1)
    entropy = torch.distributions.Categorical(probs=pair).entropy()
    torch.testing.assert_close(got['entropy'], entropy, rtol=1e-3, atol=1e-4)
