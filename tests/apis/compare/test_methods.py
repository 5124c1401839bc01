"""What methods share must not change what each says alone."""

import pytest
import torch
from mmengine.config import ConfigDict

from mmseg_ddu.apis.compare.methods import Predictor, can_share, groups
from mmseg_ddu.apis.compare.specs import parse_methods
from mmseg_ddu.apis.inference import init_ddu
from mmseg_ddu.engine.build import build_ddu, build_ensemble
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.data import as_batch
from mmseg_ddu.models.convert import to_mc_dropout_model, to_plain_model
from mmseg_ddu.registry import DATASETS, MODELS


@pytest.fixture
def images(demo_cfg):
    return DATASETS.build(demo_cfg.test_dataloader.dataset)


def predict(names, cfg, images, stride=1):
    methods = parse_methods(names)
    predictor = Predictor(methods, cfg, 'cpu', images.metainfo)
    torch.manual_seed(4)
    return predictor(as_batch(images[0]), stride)


def test_groups(names, demo_cfg, tmp_path):
    found = groups(
        parse_methods([*names, f'energy={tmp_path / "absent.pth"}']), demo_cfg
    )
    assert [[method.name for method in group] for group in found] == [
        ['entropy', 'max_logit', 'ddu-paper', 'ddu-multi'],
        ['mc_dropout2', 'mc_dropout3'],
        ['ensemble'],
        ['energy'],
    ]
    demo_cfg.model.type = 'mmseg_ddu.DDUCascadeEncoderDecoder'
    assert not can_share(demo_cfg)
    assert len(groups(parse_methods(names[:4]), demo_cfg)) == 3


@pytest.mark.parametrize('stride', [1, 3])
@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_one_pass_gives_what_each_model_gives(
    names, files, demo_cfg, images, stride, mode
):
    if mode == 'slide':
        demo_cfg.model.test_cfg = ConfigDict(
            mode='slide', crop_size=(32, 32), stride=(16, 16)
        )
    (got,) = predict(names[:4], demo_cfg, images, stride)
    for row, file in (
        ('ddu-paper', files['ddu-paper']),
        ('ddu-multi', files['multi-scale']),
    ):
        model = init_ddu(demo_cfg, file, 'cpu')
        with torch.no_grad():
            (sample,) = model.test_step(as_batch(images[0]))
        close = dict(rtol=1e-4, atol=1e-4)
        thin = (0, slice(None, None, stride), slice(None, None, stride))
        torch.testing.assert_close(
            got.scores[row], sample.pred_epistemic.data[thin], **close
        )
        torch.testing.assert_close(
            got.scores['entropy'], sample.pred_aleatoric.data[thin], **close
        )
        logits = sample.seg_logits.data
        torch.testing.assert_close(
            got.scores['max_logit'], -logits.amax(0)[thin[1:]], **close
        )


@pytest.mark.parametrize('stride', [1, 4])
def test_fewer_passes_are_the_first_of_many(
    names, files, demo_cfg, images, stride
):
    got = predict(names[4:6], demo_cfg, images, stride)
    assert [list(p.scores) for p in got] == [
        [f'mc_dropout{t}-{score}' for score in ('mi', 'pe')] for t in (2, 3)
    ]
    weights = read_checkpoint(files['a'])['state_dict']
    for passes, prediction in zip((2, 3), got):
        config = to_mc_dropout_model(
            demo_cfg.model, num_passes=passes, predictive_entropy=True
        )
        model = build_ddu(config, weights, 'a', 'cpu')
        torch.manual_seed(4)
        with torch.no_grad():
            (sample,) = model.test_step(as_batch(images[0]))
        thin = (0, slice(None, None, stride), slice(None, None, stride))
        name = f'mc_dropout{passes}'
        for score, field in (
            ('mi', 'pred_epistemic'),
            ('pe', 'pred_predictive_entropy'),
        ):
            torch.testing.assert_close(
                prediction.scores[f'{name}-{score}'],
                getattr(sample, field).data[thin],
                rtol=1e-4,
                atol=1e-5,
            )


def test_dropout_behind_the_backbone(files, demo_cfg, images):
    name = f'mc_dropout2-backbone0.4={files["a"]}'
    (got,) = predict([name], demo_cfg, images)
    (head,) = predict([f'mc_dropout2={files["a"]}'], demo_cfg, images)
    inner = got.scores['mc_dropout2-backbone0.4-mi']
    assert inner.mean() > 2 * head.scores['mc_dropout2-mi'].mean()


def test_backbone_dropouts_share_their_passes(files, demo_cfg, images):
    a = files['a']
    names = [f'mc_dropout{t}-backbone={a}' for t in (2, 4)]
    others = [f'mc_dropout2={a}', f'mc_dropout2-backbone0.2={a}']
    found = groups(parse_methods([*names, *others]), demo_cfg)
    assert [len(group) for group in found] == [2, 1, 1]
    for got, name in zip(predict(names, demo_cfg, images), names):
        (alone,) = predict([name], demo_cfg, images)
        assert torch.equal(got.logits, alone.logits)
        assert got.scores.keys() == alone.scores.keys()
        for row, score in alone.scores.items():
            assert torch.equal(got.scores[row], score)


def test_ensemble(names, files, demo_cfg, images):
    (got,) = predict(names[6:], demo_cfg, images, 2)
    model = build_ensemble(
        demo_cfg.model,
        [files[name] for name in 'abc'],
        'cpu',
        predictive_entropy=True,
    )
    with torch.no_grad():
        (sample,) = model.test_step(as_batch(images[0]))
    for score, field in (
        ('mi', 'pred_epistemic'),
        ('pe', 'pred_predictive_entropy'),
    ):
        torch.testing.assert_close(
            got.scores[f'ensemble-{score}'],
            getattr(sample, field).data[0, ::2, ::2],
            rtol=1e-4,
            atol=1e-5,
        )
    assert torch.equal(got.classes(), sample.pred_sem_seg.data[0, ::2, ::2])


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
    (got,) = predictor(as_batch(images[0]), stride)
    with torch.no_grad():
        (sample,) = predictor.model.test_step(as_batch(images[0]))
    probability = sample.seg_logits.data[0, ::stride, ::stride]
    pair = torch.stack([probability, 1 - probability], -1)
    expected = torch.distributions.Categorical(probs=pair).entropy()
    torch.testing.assert_close(
        got.scores['entropy'], expected, rtol=1e-3, atol=1e-4
    )
    assert torch.equal(got.classes(0.3), (probability > 0.3).long())


def test_moved_images_take_the_long_way(names, demo_cfg, images):
    (expected,) = predict(names[:1], demo_cfg, images, 2)
    demo_cfg.model.data_preprocessor.test_cfg = dict(size_divisor=40)
    (padded,) = predict(names[:1], demo_cfg, images, 2)
    assert padded.logits.shape == expected.logits.shape
    assert not torch.equal(padded.logits, expected.logits)
