"""Which images and which pixels take part."""

import os

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_ddu.apis.compare.image_pools import (
    build_pools,
    judge_in_pool,
    read_item,
    resolve_shifts,
)
from mmseg_ddu.datasets import SHIFTS


def pools_of(cfg, **options):
    settings = dict(
        shifts=['none'], domains={}, max_images=None, shift_images=None, seed=0
    )
    return build_pools(cfg, **{**settings, **options})


def names(pool):
    items = [pool[i]['data_samples'] for i in range(len(pool))]
    return {item.img_path for item in items}


def test_shifted_images_are_among_the_plain_ones(demo_cfg, tmp_path):
    Image.new('RGB', (20, 10)).save(tmp_path / 'street.png')
    pools = pools_of(
        demo_cfg,
        shifts=['blur', 'noise'],
        domains=dict(street=str(tmp_path)),
        max_images=3,
        shift_images=2,
    )
    assert [len(pool) for pool in pools.values()] == [3, 2, 2, 1]
    assert names(pools['blur']) == names(pools['noise'])
    assert names(pools['blur']) < names(pools['plain'])
    again = pools_of(demo_cfg, max_images=3)
    assert names(again['plain']) == names(pools['plain'])
    other = pools_of(demo_cfg, max_images=3, seed=1)
    assert names(other['plain']) != names(pools['plain'])

    for name in ('street', 'noise'):
        sample = pools[name][0]['data_samples'].to_dict()
        sample['pred_sem_seg'] = dict(
            data=torch.zeros(1, *sample['ori_shape'])
        )
        image = judge_in_pool(name, sample, 4)
        assert list(image.strange) == [name] and image.strange[name].all()
        assert not image.known.any() and image.unlabelled is None
    with pytest.raises(ValueError, match='another name'):
        pools_of(demo_cfg, domains=dict(plain=str(tmp_path)))
    with pytest.raises(FileNotFoundError, match='no image or folder'):
        pools_of(demo_cfg, domains=dict(x=str(tmp_path / 'none')))


def test_damaged_images_are_left_out(demo_cfg, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'damaged')
    pools = pools_of(demo_cfg, domains=dict(street=str(tmp_path)))
    assert read_item(pools['street'], 0).startswith('a.jpg: ')
    assert isinstance(read_item(pools['plain'], 0), dict)


def test_a_damaged_image_whose_name_is_no_text(demo_cfg, tmp_path):
    """The reason can be written into a table."""
    name = os.fsdecode(b'\xff.jpg')
    try:
        (tmp_path / name).write_bytes(b'damaged')
    except OSError:
        pytest.skip('The file system takes no such name.')
    pools = pools_of(demo_cfg, domains=dict(street=str(tmp_path)))
    told = read_item(pools['street'], 0)
    assert told.encode().startswith(rb'\udcff.jpg: ')


def sample_of(tmp_path):
    """Labels 0-2, void 255; 7 and 9 are out of distribution."""
    raw = np.random.default_rng(0).choice([0, 1, 2, 7, 9, 255], (10, 13))
    path = tmp_path / 'mask.png'
    Image.fromarray(raw.astype(np.uint8)).save(path)
    ood = np.where(raw == 255, 255, np.isin(raw, [7, 9]))
    label = np.where(raw <= 2, raw, 255)
    sample = SegDataSample(metainfo=dict(seg_map_path=str(path)))
    sample.set_data(
        dict(
            gt_sem_seg=PixelData(data=torch.tensor(label)[None]),
            gt_ood_map=PixelData(data=torch.tensor(ood)[None]),
        )
    )
    return sample, torch.tensor(raw)


@pytest.mark.parametrize('stride', [1, 3])
def test_near_and_far(tmp_path, stride):
    sample, raw = sample_of(tmp_path)
    sample.pred_sem_seg = sample.gt_sem_seg
    sample = sample.to_dict()
    thin = raw[::stride, ::stride]
    image = judge_in_pool('plain', sample, stride, near=[9])
    assert torch.equal(image.labels, thin.where(thin <= 2, 255))
    assert torch.equal(image.strange['held_out_near'], thin == 9)
    assert torch.equal(image.strange['held_out_far'], thin == 7)
    both = judge_in_pool('plain', sample, stride)
    assert list(both.strange) == ['held_out']
    strange = (thin == 7) | (thin == 9)
    assert torch.equal(both.strange['held_out'], strange)
    ignored = judge_in_pool('plain', sample, stride, ignore_index=2)
    assert not (ignored.labels == 2).any()
    noise = judge_in_pool('noise', sample, stride, near=[9])
    assert torch.equal(noise.strange['noise'], strange)
    assert not noise.known.any()
    del sample['gt_ood_map']
    assert judge_in_pool('plain', sample, stride).strange == {}


def test_names_of_shifts():
    assert resolve_shifts(None) == resolve_shifts(['all']) == list(SHIFTS)
    assert resolve_shifts(['none']) == []
    assert resolve_shifts(['noise', 'blur', 'noise']) == ['noise', 'blur']
    with pytest.raises(ValueError, match='Unknown shifts'):
        resolve_shifts(['none', 'fog'])
