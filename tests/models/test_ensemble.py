"""The ensemble against its members one by one."""

import pytest
import torch
from torch.distributions import Categorical

from mmseg_ddu.engine.build import build_ensemble
from mmseg_ddu.engine.checkpoint import read_checkpoint, save_checkpoint
from mmseg_ddu.models.convert import to_ensemble_model
from mmseg_ddu.registry import MODELS
from tests.models.test_segmentors import build, samples


def checkpoints(cfg, tmp_path, number=3):
    paths, members = [], []
    for seed in range(number):
        torch.manual_seed(seed)
        member = build(cfg, 'EncoderDecoder')
        for module in member.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        paths.append(tmp_path / f'seed{seed}.pth')
        save_checkpoint(paths[-1], member.state_dict(), {})
        members.append(member)
    return paths, members


@torch.no_grad()
def test_against_its_members(demo_cfg, tmp_path):
    paths, members = checkpoints(demo_cfg, tmp_path)
    model = build_ensemble(demo_cfg.model, paths)
    inputs = torch.randn(2, 3, 48, 56)
    got = model.predict(inputs, samples(inputs))
    probs = torch.stack(
        [
            torch.stack(
                [s.seg_logits.data for s in m.predict(inputs, samples(inputs))]
            )
            .double()
            .softmax(1)
            for m in members
        ]
    ).movedim(2, -1)
    expected = Categorical(probs=probs).entropy().mean(0)
    total = Categorical(probs=probs.mean(0)).entropy()
    close = dict(rtol=1e-3, atol=1e-5, check_dtype=False)
    for index, sample in enumerate(got):
        for field, value in (
            ('pred_epistemic', total - expected),
            ('pred_aleatoric', expected),
            ('pred_total', total),
        ):
            data = getattr(sample, field).data[0]
            torch.testing.assert_close(data, value[index], **close)
        classes = probs.mean(0)[index].argmax(-1)
        assert torch.equal(sample.pred_sem_seg.data[0], classes)


@torch.no_grad()
def test_slide_and_flip(demo_cfg, tmp_path):
    paths, _ = checkpoints(demo_cfg, tmp_path)
    model = build_ensemble(demo_cfg.model, paths)
    inputs = torch.randn(1, 3, 48, 48)
    whole = model.predict(inputs, samples(inputs))[0]
    flipped = model.predict(
        inputs, samples(inputs, flip=True, flip_direction='horizontal')
    )[0]
    torch.testing.assert_close(
        flipped.pred_epistemic.data.flip(2), whole.pred_epistemic.data
    )
    model.test_cfg = dict(mode='slide', crop_size=(48, 48), stride=(32, 32))
    model.test_cfg = type(demo_cfg.model.test_cfg)(model.test_cfg)
    slide = model.predict(inputs, samples(inputs))[0]
    torch.testing.assert_close(
        slide.pred_epistemic.data, whole.pred_epistemic.data
    )
    torch.testing.assert_close(slide.seg_logits.data, whole.seg_logits.data)


@torch.no_grad()
def test_one_file_for_all(demo_cfg, tmp_path):
    paths, _ = checkpoints(demo_cfg, tmp_path)
    model = build_ensemble(demo_cfg.model, paths)
    save_checkpoint(tmp_path / 'all.pth', model.state_dict(), {})
    again = MODELS.build(to_ensemble_model(demo_cfg.model, 3)).eval()
    state = read_checkpoint(tmp_path / 'all.pth')['state_dict']
    again.load_state_dict(state, strict=True)
    inputs = torch.randn(1, 3, 48, 48)
    a, b = (m.predict(inputs, samples(inputs))[0] for m in (model, again))
    assert torch.equal(a.pred_epistemic.data, b.pred_epistemic.data)


def test_errors(demo_cfg, tmp_path):
    paths, _ = checkpoints(demo_cfg, tmp_path, 2)
    with pytest.raises(ValueError, match='at least 2'):
        build_ensemble(demo_cfg.model, paths[:1])
    with pytest.raises(ValueError, match='same weights'):
        build_ensemble(demo_cfg.model, [paths[0], paths[1], paths[0]])
    model = build_ensemble(demo_cfg.model, paths)
    with pytest.raises(NotImplementedError, match='another seed'):
        model.loss(torch.randn(1, 3, 48, 48), [])
    demo_cfg.model.backbone.update(base_channels=8)
    with pytest.raises(ValueError, match='do not belong'):
        build_ensemble(demo_cfg.model, paths)
