"""Networks of two images, for what has changed between them."""

import shutil

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_ddu.apis import DDUInferencer, export, fit_gda, init_ddu, predict
from mmseg_ddu.apis import test as run_test
from mmseg_ddu.registry import MODELS


@TRANSFORMS.register_module()
class LoadTwoImages(BaseTransform):
    """As LoadMultipleRSImageFromFile of mmseg, without gdal."""

    def transform(self, results):
        paths = results['img_path'], results['img_path2']
        results['img'], results['img2'] = map(mmcv.imread, paths)
        shape = results['img'].shape[:2]
        results['img_shape'] = results['ori_shape'] = shape
        return results


@pytest.fixture
def two_images(plain_cfg, tmp_path):
    """A config of two images, with the folder of the first, and weights."""
    cfg = plain_cfg
    cfg.model.backbone.in_channels = 6
    cfg.model.data_preprocessor.update(mean=None, std=None, bgr_to_rgb=False)
    cfg.model.decode_head.num_classes = 2
    cfg.model.auxiliary_head = None
    old = tmp_path / 'data'
    shutil.copytree(cfg.train_dataloader.dataset.data_root, old)
    for path in old.glob('SegmentationClass/*.png'):
        labels = np.asarray(Image.open(path))
        Image.fromarray((labels > 2).astype(np.uint8)).save(path)
    for split in 'train', 'val', 'test':
        loader = cfg[f'{split}_dataloader']
        loader.dataset = dict(
            type='BaseCDDataset',
            metainfo=dict(classes=['same', 'changed']),
            data_root=str(old),
            img_suffix='.jpg',
            img_suffix2='.jpg',
            data_prefix=dict(
                img_path='JPEGImages',
                img_path2='JPEGImages',
                seg_map_path='SegmentationClass',
            ),
            ann_file=f'ImageSets/Segmentation/{split}.txt',
            pipeline=[
                dict(type='LoadTwoImages'),
                dict(type='LoadAnnotations'),
                dict(type='ConcatCDInput'),
                dict(type='PackSegInputs'),
            ],
        )
    path = tmp_path / 'weights.pth'
    model = MODELS.build(cfg.model)
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return cfg, path, old / 'JPEGImages'


def test_data_sets_work_and_bare_images_are_refused(two_images, tmp_path):
    cfg, path, photos = two_images
    fitted = fit_gda(cfg, path)
    assert 'mIoU' in run_test(cfg, fitted)
    model = init_ddu(cfg, fitted)
    assert model.image_novelty.channels == 6
    photo = next(photos.glob('*.jpg'))
    for bare in (
        lambda: predict(model, photo),
        lambda: export(cfg, fitted, photos, tmp_path / 'maps'),
        lambda: DDUInferencer(cfg, fitted),
    ):
        with pytest.raises(ValueError, match="LoadTwoImages.*'img_path2'"):
            bare()
    assert not list((tmp_path / 'maps').rglob('*.npy'))
