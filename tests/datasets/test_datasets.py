"""Out-of-distribution masks, held-out classes, the sample."""

import json

import numpy as np
import pytest
from PIL import Image

from mmseg_ddu.datasets.sample import (
    CLASSES,
    SampleRecipe,
    draw,
    make_sample,
)
from mmseg_ddu.registry import DATASETS, TRANSFORMS

STEPS = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg_ddu.LoadOoDAnnotations'),
    dict(type='mmseg_ddu.PackDDUInputs'),
]


@pytest.fixture
def voc(tmp_path):
    """Three images in VOC layout: labels 0-20 and void."""
    masks = dict(a=[0, 8, 255], b=[0, 13, 8], c=[0, 5, 12])
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets'):
        (tmp_path / folder).mkdir()
    for name, labels in masks.items():
        Image.new('RGB', (6, 4)).save(tmp_path / f'JPEGImages/{name}.jpg')
        mask = np.repeat(np.array(labels, np.uint8), 2)[None].repeat(4, 0)
        Image.fromarray(mask).save(tmp_path / f'SegmentationClass/{name}.png')
    (tmp_path / 'ImageSets' / 'all.txt').write_text('\n'.join(masks))
    return dict(
        type='PascalVOCDataset',
        data_root=str(tmp_path),
        metainfo=dict(classes=('background', 'cat', 'dog')),
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        ann_file='ImageSets/all.txt',
        pipeline=STEPS,
    )


def test_ood_mask_from_classes_left_out(voc):
    dataset = DATASETS.build(voc)
    sample = dataset[1]['data_samples']
    label, ood = sample.gt_sem_seg.data[0], sample.gt_ood_map.data[0]
    assert label[0].tolist() == [0, 0, 255, 255, 1, 1]
    assert ood[0].tolist() == [0, 0, 1, 1, 0, 0]
    void = dataset[0]['data_samples'].gt_ood_map.data[0]
    assert void[0].tolist() == [0, 0, 0, 0, 255, 255]


def test_ood_mask_from_a_folder(sample_root, demo_cfg):
    dataset = DATASETS.build(demo_cfg.test_dataloader.dataset)
    sample = dataset[0]['data_samples']
    file = Image.open(sample_root / 'OoDMask' / 'test_0000.png')
    assert np.array_equal(sample.gt_ood_map.data[0], np.asarray(file))
    assert (sample.gt_sem_seg.data[sample.gt_ood_map.data == 1] == 255).all()


def test_nothing_says_what_is_out_of_distribution(voc):
    voc['metainfo'] = None
    with pytest.raises(ValueError, match='needs ood_dir'):
        DATASETS.build(voc)[0]


def test_images_with_held_out_classes_are_dropped(voc):
    dataset = DATASETS.build(
        dict(type='mmseg_ddu.DropImagesWithClasses', dataset=voc, labels=(13,))
    )
    assert len(dataset) == 2
    paths = [dataset.get_data_info(i)['img_path'] for i in range(2)]
    assert [path[-5] for path in paths] == ['a', 'c']
    assert dataset[1]['data_samples'].img_path == paths[1]
    assert dataset.metainfo['classes'] == ('background', 'cat', 'dog')
    with pytest.raises(ValueError, match='nothing is left'):
        DATASETS.build(
            dict(
                type='mmseg_ddu.DropImagesWithClasses',
                dataset=voc,
                labels=(0,),
            )
        )


def test_transforms_are_registered():
    assert TRANSFORMS.get('mmseg_ddu.LoadOoDAnnotations') is not None


class TestSample:
    def test_reproducible_and_complete(self, sample_root, tmp_path):
        from tests.conftest import SMALL

        again = make_sample(tmp_path / 'again', SMALL)
        for name in ('train_0000', 'test_0003'):
            first, second = (
                (root / 'JPEGImages' / f'{name}.jpg').read_bytes()
                for root in (sample_root, again)
            )
            assert first == second
        lists = again / 'ImageSets' / 'Segmentation'
        for split, count in (('train', 12), ('val', 4), ('test', 4)):
            names = (lists / f'{split}.txt').read_text().split()
            assert len(names) == count
            for name in names:
                assert (again / 'SegmentationClass' / f'{name}.png').is_file()

    def test_unseen_objects_in_the_test_split_alone(self, sample_root):
        for path in (sample_root / 'OoDMask').glob('*.png'):
            ood = np.asarray(Image.open(path))
            mask = np.asarray(
                Image.open(sample_root / 'SegmentationClass' / path.name)
            )
            assert (ood == 1).any() == path.name.startswith('test')
            assert (mask[ood == 1] == 255).all()
            assert np.array_equal(ood > 0, mask == 255)

    def test_twins_look_the_same_and_are_labelled_either_way(self):
        """Over many fields, about half of each, and equal colours."""
        colors = {4: [], 5: []}
        for seed in range(300):
            rng = np.random.default_rng(seed)
            image, mask, _ = draw(rng, 48, unseen=False)
            for label in colors:
                if (mask == label).any():
                    colors[label].append(image[mask == label].mean(0))
        counts = {label: len(rows) for label, rows in colors.items()}
        share = counts[4] / sum(counts.values())
        assert 0.42 < share < 0.58
        first, second = (np.mean(rows, 0) for rows in colors.values())
        spread = np.std(colors[4], 0) / np.sqrt(counts[4])
        assert (np.abs(first - second) < 5 * spread).all()
        assert CLASSES[4:] == ('twin_a', 'twin_b')

    def test_borders_are_void_and_nothing_else(self):
        """Two pixels wide, wherever two classes or objects meet."""
        _, mask, ood = draw(np.random.default_rng(1), 96, unseen=True)
        labels = np.where(ood == 1, 6, mask)
        for moved in (labels[1:], labels[:, 1:]):
            still = labels[: moved.shape[0], : moved.shape[1]]
            inside = (still != 255) & (moved != 255)
            assert (still == moved)[inside].all()
        assert 0 < (ood == 255).mean() < 0.1

    def test_existing_folder(self, tmp_path):
        recipe = SampleRecipe(train=1, val=1, test=1, size=32)
        root = make_sample(tmp_path / 's', recipe)
        assert json.loads((root / 'recipe.json').read_text())['size'] == 32
        before = (root / 'recipe.json').stat().st_mtime_ns
        make_sample(root, recipe)
        assert (root / 'recipe.json').stat().st_mtime_ns == before
        with pytest.raises(FileExistsError, match='another recipe'):
            make_sample(root, SampleRecipe(train=2, val=1, test=1, size=32))
        (tmp_path / 'mine').mkdir()
        (tmp_path / 'mine' / 'file').write_text('')
        with pytest.raises(FileExistsError, match='not empty'):
            make_sample(tmp_path / 'mine', recipe)

    def test_interrupt_leaves_nothing(self, tmp_path, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr('mmseg_ddu.datasets.sample.draw', interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_sample(tmp_path / 's', SampleRecipe(train=1))
        assert list(tmp_path.iterdir()) == []
