"""A few models for real, and every way in which one can end."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from benchmarks.zoo.page import headline, page
from benchmarks.zoo.trial import ASKED, check_sample, try_model
from benchmarks.zoo.walk import in_own_process, zoo_coverage

BACKBONE = dict(
    type='UNet',
    base_channels=4,
    num_stages=5,
    norm_cfg=dict(type='SyncBN'),
)
HEAD = dict(
    type='FCNHead',
    in_channels=4,
    in_index=4,
    channels=4,
    num_convs=1,
    concat_input=False,
    num_classes=3,
)
MODEL = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor'),
    backbone=BACKBONE,
    decode_head=HEAD,
    test_cfg=dict(mode='slide', crop_size=(256, 256), stride=(170, 170)),
)


@pytest.fixture
def zoo(tmp_path):
    """Five models: two of them equal, one refused, one impossible."""
    root = tmp_path / 'zoo'
    mask = dict(
        type='SegmenterMaskTransformerHead',
        in_channels=64,
        in_index=0,
        channels=4,
        num_classes=3,
        num_layers=1,
        num_heads=1,
        embed_dims=4,
    )
    models = {
        'unet/a_good.py': MODEL,
        'unet/b_twin.py': dict(MODEL, pretrained='x.pth'),
        'unet/c_whole.py': dict(MODEL, test_cfg=dict(mode='whole')),
        'segmenter/mask.py': dict(MODEL, decode_head=mask),
        'unet/d_absent.py': dict(MODEL, backbone=dict(type='NoSuchNet')),
    }
    for name, model in models.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Config(dict(model=model)).dump(path)
    (root / '_base_').mkdir()
    (root / '_base_' / 'x.py').write_text('y = 1\n')
    return root


def test_the_walk(zoo, tmp_path):
    out = tmp_path / 'zoo.json'
    result = zoo_coverage(out, root=zoo, every=True, timeout=120)
    assert json.loads(out.read_text()) == result
    rows = {row['config']: row for row in result['rows']}
    status = {name: row['status'] for name, row in rows.items()}
    assert status == {
        'unet/a_good.py': 'works',
        'unet/b_twin.py': 'works',
        'unet/c_whole.py': 'works',
        'segmenter/mask.py': 'refused',
        'unet/d_absent.py': 'unbuildable',
    }
    assert rows['unet/b_twin.py']['same_as'] == 'unet/a_good.py'
    assert rows['unet/a_good.py']['window'] == [64, 64]
    assert rows['unet/a_good.py']['epistemic_spread'] > 0
    assert 'NoSuchNet' in rows['unet/d_absent.py']['reason']
    assert (result['works'], result['error']) == (3, 0)
    assert (result['configs'], result['tried'], result['models']) == (5, 5, 4)
    for name in status:  # each on a line of its own
        key = f'{{"config": "{name}"'
        (line,) = [x for x in out.read_text().splitlines() if key in x]
        assert json.loads(line.strip(' ,')) == rows[name]
    ((reason, count),) = result['refused'].items()
    assert 'SegmenterMaskTransformerHead' in reason and count == 1
    assert 'of 4 configs that mmseg can run here 3 work (75.0%)' in headline(
        result
    )
    text = page(result)
    assert '| unet | UNet | FCNHead | 3 |' in text
    assert reason in text

    # A second run has nothing to do; half a file is gone on with.
    assert zoo_coverage(out, root=zoo, every=True) == result
    half = dict(result, rows=result['rows'][:3])
    out.write_text(json.dumps(half))
    again = zoo_coverage(out, root=zoo, every=True, timeout=120)
    assert [row['status'] for row in again['rows']] == [
        row['status'] for row in result['rows']
    ]


def test_real_configs_of_mmseg(tmp_path):
    """Three small ones; docs/zoo_coverage.md has them all."""
    out = tmp_path / 'zoo.json'
    for pattern in (
        'cgnet/*680x680.py',
        'ocrnet/ocrnet_hr18s_4xb2-40k*',
        'segmenter/segmenter_vit-t_mask*',
    ):
        result = zoo_coverage(out, only=pattern, timeout=120)
    status = {row['method']: row['status'] for row in result['rows']}
    assert status == dict(cgnet='works', ocrnet='works', segmenter='refused')


def test_one_of_each_kind(zoo, tmp_path):
    result = zoo_coverage(tmp_path / 'zoo.json', root=zoo, timeout=120)
    names = [row['config'] for row in result['rows']]
    assert names == ['segmenter/mask.py', 'unet/a_good.py', 'unet/d_absent.py']


def test_a_process_that_hangs_or_dies():
    cfg = Config(dict(model=MODEL))
    row = in_own_process(cfg, timeout=0, memory_gb=14)
    assert row == dict(status='unbuildable', reason='took more than 0 s')
    row = in_own_process(cfg, timeout=60, memory_gb=0.001)
    assert row['status'] == 'unbuildable'


def test_the_checks_see_what_is_wrong():
    stages = []
    row = try_model(Config(dict(model=MODEL)), stages.append)
    assert row['status'] == 'works' and stages == ['plain', 'ddu']
    size = ASKED

    def fields(**changes):
        values = dict(
            pred_epistemic=torch.randn(1, *size),
            pred_aleatoric=torch.rand(1, *size),
            pred_sem_seg=torch.zeros(1, *size),
            seg_logits=torch.zeros(3, *size),
        )
        done = SegDataSample()
        for name, value in {**values, **changes}.items():
            done.set_data({name: PixelData(data=value)})
        return done

    check_sample(fields(), fields(), 3)
    for name, value, message in (
        ('pred_epistemic', torch.zeros(1, *size), 'same everywhere'),
        ('pred_epistemic', torch.full((1, *size), torch.nan), 'not finite'),
        ('pred_aleatoric', torch.rand(1, *size) + 1, 'leaves'),
        ('pred_sem_seg', torch.zeros(1, 4, 4), 'shape'),
        ('seg_logits', torch.ones(3, *size), 'plain model'),
    ):
        with pytest.raises(ValueError, match=message):
            check_sample(fields(**{name: value}), fields(), 3)
