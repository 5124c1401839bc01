"""The OoD benchmarks, on tiny folders laid out as they are published."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_ddu.evaluation import UncertaintyMetric
from mmseg_ddu.registry import DATASETS, METRICS

BASES = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
SIZE = (24, 48)
CITY = 'frankfurt/frankfurt_000000_000294_leftImg8bit.png'


def image(path, value=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    color = (value, value + 10, value + 20)
    Image.new('RGB', SIZE[::-1], color).save(path)


def mask(path, background=0, positive=1):
    """Void on top, a square of what is out of distribution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full(SIZE, background, np.uint8)
    values[:4] = 255
    values[8:16, 8:20] = positive
    Image.fromarray(values).save(path)


def smiyc(root, suffix='.jpg'):
    for name in ('validation0000', 'validation0001', 'airplane0000'):
        image(root / f'images/{name}{suffix}')
        if name.startswith('validation'):  # the test labels are hidden
            mask(root / f'labels_masks/{name}_labels_semantic.png')
            image(root / f'labels_masks/{name}_labels_semantic_color.png')


def road_anomaly(root):
    for name in ('animals01', 'rock02'):
        image(root / f'frames/{name}.jpg')
        folder = root / f'frames/{name}.labels'
        mask(folder / 'labels_semantic.png', positive=2)
        image(folder / 'labels_semantic_color.png')


def lost_and_found(root):
    stem = '04_Maurener_Weg_8_000000_000030'
    for split, name in (('train', '01_A_1_000000_000010'), ('test', stem)):
        place = name.rsplit('_', 2)[0]
        image(root / f'leftImg8bit/{split}/{place}/{name}_leftImg8bit.png')
    image(root / 'leftImg8bit/test/05_B_2/05_B_2_000001_1_leftImg8bit.png')
    folder = root / 'fishyscapes_lostandfound'
    mask(folder / f'0000_{stem}_labels.png')
    mask(folder / '0001_01_A_1_000000_000010_labels.png')


def static(root):
    image(root / 'leftImg8bit/val' / CITY)
    for number in ('0000', '0001'):
        stem = root / f'fs_val/{number}_frankfurt_000000_000294'
        mask(stem.with_name(stem.name + '_labels.png'))
        overlay = np.zeros((*SIZE, 3), np.int16)
        overlay[8:16, 8:20] = (-200, 7, 300)
        np.savez(stem.with_name(stem.name + '_rgb.npz'), rgb=overlay)


LAYOUTS = {
    'smiyc_road_anomaly21': smiyc,
    'smiyc_road_obstacle21': lambda root: smiyc(root, '.webp'),
    'road_anomaly': road_anomaly,
    'fishyscapes_lost_and_found': lost_and_found,
    'fishyscapes_static': static,
}


@pytest.mark.parametrize('name', list(LAYOUTS))
def test_masks_without_classes(name, tmp_path):
    LAYOUTS[name](tmp_path)
    cfg = Config.fromfile(BASES / f'{name}.py')
    cfg.test_dataloader.dataset.data_root = str(tmp_path)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    assert len(dataset) == 2
    assert len(dataset.metainfo['classes']) == 19
    for index in range(2):
        sample = dataset[index]['data_samples']
        ood = sample.gt_ood_map.data[0]
        expected = torch.zeros(SIZE)
        expected[:4] = 255
        expected[8:16, 8:20] = 1
        assert torch.equal(ood.float(), expected)
        assert (sample.gt_sem_seg.data == 255).all()
        assert sample.ori_shape == SIZE


def test_frames_and_masks_belong_together(tmp_path):
    lost_and_found(tmp_path)
    dataset = DATASETS.build(
        dict(
            type='mmseg_ddu.FishyscapesLostAndFoundDataset',
            data_root=str(tmp_path),
        )
    )
    for index, folder in enumerate(['04_Maurener_Weg_8', '01_A_1']):
        info = dataset.get_data_info(index)
        assert Path(info['img_path']).parent.name == folder
        stem = Path(info['img_path']).name.removesuffix('_leftImg8bit.png')
        assert info['ood_map_path'].endswith(f'{stem}_labels.png')


def test_static_overlay_is_added_in_rgb(tmp_path):
    static(tmp_path)
    steps = [dict(type='mmseg_ddu.LoadImageWithOverlay')]
    dataset = DATASETS.build(
        dict(
            type='mmseg_ddu.FishyscapesStaticDataset',
            data_root=str(tmp_path),
            pipeline=steps,
        )
    )
    bgr = dataset[0]['img']
    assert bgr.dtype == np.uint8
    assert bgr[10, 10].tolist() == [
        255,
        107,
        0,
    ]  # 110 + 300, 100 + 7, 90 - 200
    assert bgr[0, 0].tolist() == [110, 100, 90]


def test_without_any_mask(tmp_path):
    with pytest.raises(FileNotFoundError, match='Set data_root'):
        DATASETS.build(
            dict(type='mmseg_ddu.SMIYCDataset', data_root=str(tmp_path))
        )


def test_street_hazards(tmp_path):
    """Values in the files are one more than the classes; 14 is anomaly."""
    for folder, anomaly in (
        ('train/{}/training/t1-3', 5),
        ('train/{}/validation/t4', 5),
        ('test/{}/test/t5', 14),
    ):
        image(tmp_path / folder.format('images') / '1.png')
        path = tmp_path / folder.format('annotations') / '1.png'
        mask(path, background=8, positive=anomaly)
        values = np.array(Image.open(path))
        values[:4] = 1
        values[-1] = 0  # not a class
        Image.fromarray(values).save(path)
    cfg = Config.fromfile(BASES / 'street_hazards.py')
    samples = {}
    for name in ('train', 'val', 'test'):
        config = cfg[f'{name}_dataloader'].dataset
        config.data_root = str(tmp_path)
        config.pipeline = [
            step for step in config.pipeline if 'Random' not in step['type']
        ]
        dataset = DATASETS.build(config)
        assert len(dataset) == 1
        assert len(dataset.metainfo['classes']) == 13
        samples[name] = dataset[0]['data_samples']
    for name, inside in (('train', 4), ('val', 4), ('test', 255)):
        label = samples[name].gt_sem_seg.data[0]
        assert label[0, 0] == 0 and label[6, 0] == 7 and label[-1, 0] == 255
        assert label[10, 10] == inside
    ood = samples['test'].gt_ood_map.data[0]
    expected = torch.zeros(SIZE)
    expected[8:16, 8:20] = 1
    expected[-1] = 255
    assert torch.equal(ood.float(), expected)


def test_metric_without_class_masks(tmp_path):
    """In-distribution pixels are negatives though they have no class."""
    smiyc(tmp_path)
    cfg = Config.fromfile(BASES / 'smiyc_road_anomaly21.py')
    cfg.test_dataloader.dataset.data_root = str(tmp_path)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    metric = METRICS.build(cfg.test_evaluator[0])
    assert isinstance(metric, UncertaintyMetric)
    generator = torch.Generator().manual_seed(0)
    everything = []
    for item in dataset:
        sample = item['data_samples'].to_dict()
        score = torch.rand(1, *SIZE, generator=generator)
        for name in ('pred_epistemic', 'pred_aleatoric'):
            sample[name] = dict(data=score)
        sample['pred_sem_seg'] = dict(data=torch.zeros(1, *SIZE).long())
        metric.process({}, [sample])
        everything.append((sample['gt_ood_map']['data'], score))
    ood = torch.cat([a.flatten() for a, _ in everything])
    score = torch.cat([b.flatten() for _, b in everything])
    first, second = score[ood == 1], score[ood == 0]
    wins = (first[:, None] > second).double().mean()
    values = metric.evaluate(len(dataset))
    value = values['uncertainty/epistemic_ood_AUROC']
    assert value == pytest.approx(100 * float(wins), abs=0.02)
    assert 'uncertainty/epistemic_mis_AUROC' not in values
