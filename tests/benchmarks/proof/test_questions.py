"""What the other questions of the proof are asked of."""

import torch

from benchmarks.proof.__main__ import merge
from benchmarks.proof.judge_time import with_head
from mmseg_ddu.apis import fit_gda, init_ddu, predict


def test_answers_stand_side_by_side():
    there = dict(networks=dict(a=dict(rows=dict(x=dict(errors=1.0, ms=2)))))
    found = dict(
        networks=dict(a=dict(rows=dict(x=dict(errors=3.0), y=dict(errors=4)))),
        choice=dict(stride=2),
    )
    assert merge(there, found) == dict(
        networks=dict(
            a=dict(rows=dict(x=dict(errors=3.0, ms=2), y=dict(errors=4)))
        ),
        choice=dict(stride=2),
    )
    assert there['networks']['a']['rows']['x']['errors'] == 1.0


def test_a_model_with_another_head_alone(plain_cfg, checkpoint, tmp_path):
    fitted = fit_gda(
        plain_cfg,
        checkpoint,
        tmp_path / 'x.pth',
        extra_heads=dict(paper=dict(preset='ddu-paper')),
    )
    model = init_ddu(plain_cfg, fitted)
    alone = with_head(model, model.extra_heads['paper'])
    image = torch.randint(0, 255, (48, 48, 3), dtype=torch.uint8).numpy()
    both, one = predict(model, image), predict(alone, image)
    assert 'pred_epistemic_paper' not in one
    torch.testing.assert_close(
        one.pred_epistemic.data, both.pred_epistemic_paper.data
    )
    assert list(model.extra_heads) == ['paper']
