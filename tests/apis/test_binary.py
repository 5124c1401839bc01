"""mmseg's binary networks, from the fit to a graph."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import export, export_onnx, fit_gda, test
from mmseg_ddu.registry import MODELS

test.__test__ = False  # pytest would take it for one
SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)


def binary(cfg, tmp_path, num_classes, out_channels, names):
    """A config and weights of two classes, the others void."""

    cfg.model.decode_head.update(
        num_classes=num_classes,
        out_channels=out_channels,
        loss_decode=SIGMOID,
        threshold=0.5 if out_channels == 1 else None,
    )
    cfg.model.auxiliary_head = None
    classes = list(cfg.metainfo.classes)[:names]
    cfg.metainfo.classes = classes
    root = tmp_path / 'binary'
    shutil.copytree(cfg.train_dataloader.dataset.data_root, root)
    for path in root.glob('SegmentationClass/*.png'):
        labels = np.asarray(Image.open(path))
        ones = np.where(labels == 255, 255, labels > 2).astype(np.uint8)
        Image.fromarray(ones).save(path)
    for split in 'train', 'val', 'test':
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.data_root = str(root)
        dataset.metainfo = dict(classes=classes)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = MODELS.build(cfg.model)
    for module in model.modules():  # so that entropies differ
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    path = tmp_path / 'binary.pth'
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return cfg, path


@pytest.mark.parametrize(
    'num_classes, out_channels, names',
    [(2, 1, 2), (1, 1, 2), (1, None, 1)],
)
def test_all_tools(plain_cfg, tmp_path, num_classes, out_channels, names):
    pytest.importorskip('onnxruntime')
    cfg, path = binary(plain_cfg, tmp_path, num_classes, out_channels, names)
    fitted = fit_gda(cfg, path)
    metrics = test(cfg, fitted)
    assert 'mIoU' in metrics
    photo = tmp_path / 'a.png'
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    Image.fromarray(pixels).save(photo)
    (row,) = export(cfg, fitted, photo, tmp_path / 'maps')['images']
    classes = Image.open(tmp_path / 'maps' / row['files']['class'])
    assert set(np.unique(classes)) <= {0, 1}
    graph = tmp_path / 'a.onnx'
    export_onnx(cfg, fitted, graph, images=[photo], sizes=[(48, 48)])


def test_two_logits_of_one_class_are_refused(plain_cfg, checkpoint):
    """By mmseg, which names what may be."""
    plain_cfg.model.decode_head.update(num_classes=1, out_channels=2)
    with pytest.raises(ValueError, match='out_channels == 1'):
        fit_gda(plain_cfg, checkpoint)
