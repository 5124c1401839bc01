"""What a fit refuses or leaves out, and what it leaves behind."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.engine.fitter import DensityFitter


class TestBadInput:
    def test_classes_of_another_data_set(self, plain_cfg, checkpoint):
        plain_cfg.train_dataloader.dataset.metainfo.classes = ('a', 'b')
        plain_cfg.train_dataloader.dataset.metainfo.palette = [[0] * 3] * 2
        with pytest.raises(ValueError, match='has 2 classes.*model has 6'):
            fit_gda(plain_cfg, checkpoint)
        assert not checkpoint.with_name('weights_gda.pth').exists()

    def test_names_of_another_data_set(self, plain_cfg, checkpoint):
        names = ('grass', 'brick', 'water', 'sand', 'left', 'right')
        plain_cfg.train_dataloader.dataset.metainfo.classes = names
        with pytest.raises(ValueError, match='twin_b.*but the data set has'):
            fit_gda(plain_cfg, checkpoint)

    def test_label_that_is_no_class(
        self, plain_cfg, checkpoint, sample_root, tmp_path
    ):
        root = tmp_path / 'copy'
        shutil.copytree(sample_root, root)
        mask = root / 'SegmentationClass' / 'train_0003.png'
        Image.fromarray(np.full((48, 48), 17, np.uint8)).save(mask)
        plain_cfg.train_dataloader.dataset.data_root = str(root)
        with pytest.raises(ValueError, match='Found label 17'):
            fit_gda(plain_cfg, checkpoint)

    def test_a_folder_is_no_file_to_write(
        self, plain_cfg, checkpoint, monkeypatch
    ):
        monkeypatch.setattr(DensityFitter, 'update', None)  # nothing is read
        with pytest.raises(OSError, match='is a folder. Name a file in it'):
            fit_gda(plain_cfg, checkpoint, checkpoint.parent)

    def test_weights_of_another_network(self, plain_cfg, checkpoint):
        plain_cfg.model.decode_head.channels = 16
        with pytest.raises(ValueError, match='do not belong to this config'):
            fit_gda(plain_cfg, checkpoint)
        plain_cfg.model.backbone.depth = 34
        plain_cfg.model.decode_head.channels = 12
        with pytest.raises(ValueError, match='keys are missing'):
            fit_gda(plain_cfg, checkpoint)

    def test_head_without_cls_seg(self, plain_cfg, checkpoint):
        plain_cfg.model.decode_head = dict(
            type='SegmenterMaskTransformerHead',
            in_channels=32,
            channels=12,
            num_classes=6,
            num_layers=1,
            num_heads=2,
            embed_dims=12,
        )
        with pytest.raises(TypeError, match='cls_seg'):
            fit_gda(plain_cfg, checkpoint)

    def test_no_such_file_and_no_checkpoint(self, plain_cfg, tmp_path):
        with pytest.raises(FileNotFoundError, match='no checkpoint'):
            fit_gda(plain_cfg, tmp_path / 'absent.pth')
        (tmp_path / 'text.pth').write_text('not a checkpoint')
        with pytest.raises(ValueError, match='cannot be read'):
            fit_gda(plain_cfg, tmp_path / 'text.pth')
        torch.save(dict(a=1), tmp_path / 'empty.pth')
        with pytest.raises(ValueError, match='no state_dict'):
            fit_gda(plain_cfg, tmp_path / 'empty.pth')

    def test_code_in_a_checkpoint_is_not_run(self, plain_cfg, tmp_path):
        path = tmp_path / 'evil.pth'
        torch.save(dict(state_dict={}, meta=os.system), path)
        with pytest.raises(ValueError, match='cannot be read'):
            fit_gda(plain_cfg, path)

    def test_unreadable_training_image_is_left_out(
        self, plain_cfg, checkpoint, sample_root, tmp_path
    ):
        root = tmp_path / 'copy'
        shutil.copytree(sample_root, root)
        (root / 'JPEGImages' / 'train_0003.jpg').write_bytes(b'no image')
        plain_cfg.train_dataloader.dataset.data_root = str(root)
        out = fit_gda(plain_cfg, checkpoint)
        report = json.loads(out.with_suffix('.json').read_text())
        assert [row['image'] for row in report['unreadable']] == [3]
        assert report['images'] == 11

    def test_mask_of_another_size_is_left_out(
        self, plain_cfg, checkpoint, sample_root, tmp_path
    ):
        root = tmp_path / 'copy'
        shutil.copytree(sample_root, root)
        mask = root / 'SegmentationClass' / 'train_0003.png'
        Image.fromarray(np.zeros((24, 48), np.uint8)).save(mask)
        plain_cfg.train_dataloader.dataset.data_root = str(root)
        out = fit_gda(plain_cfg, checkpoint)
        report = json.loads(out.with_suffix('.json').read_text())
        (row,) = report['unreadable']
        assert row['image'] == 3 and str(mask) in row['error']
        assert '(48, 48)' in row['error'] and '(24, 48)' in row['error']

    def test_interrupt_keeps_the_old_file(
        self, plain_cfg, checkpoint, monkeypatch
    ):
        out = fit_gda(plain_cfg, checkpoint)
        before = out.read_bytes()
        seen = []

        def interrupted(self, *args, **kwargs):
            seen.append(args)
            if len(seen) > 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(DensityFitter, 'update', interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_gda(plain_cfg, checkpoint)
        assert out.read_bytes() == before
        assert not list(out.parent.glob('.tmp-*'))

    def test_interrupt_while_writing_keeps_the_old_file(
        self, plain_cfg, checkpoint, monkeypatch
    ):
        out = fit_gda(plain_cfg, checkpoint)
        before = out.read_bytes()

        def interrupted(value, file):
            file.write(b'half')
            raise KeyboardInterrupt

        monkeypatch.setattr(torch, 'save', interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_gda(plain_cfg, checkpoint, seed=5)
        assert out.read_bytes() == before
        assert not list(out.parent.glob('.tmp-*'))

    def test_output_folder_that_is_a_file(
        self, plain_cfg, checkpoint, tmp_path
    ):
        (tmp_path / 'file').write_text('')
        with pytest.raises(OSError, match='Cannot write into'):
            fit_gda(plain_cfg, checkpoint, tmp_path / 'file' / 'x.pth')
