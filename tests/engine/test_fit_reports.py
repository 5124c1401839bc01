"""What a fit says of itself, and warns of."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmseg_ddu.apis import fit_gda
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.fit_report import log_report
from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_dataset_config,
    held_out_images,
    image_names,
)
from mmseg_ddu.models.gda_head import FORMAT

from .fitted_density import density


def test_report_and_meta(plain_cfg, checkpoint):
    head = dict(preset='ddu-paper', components=2)
    out = fit_gda(plain_cfg, checkpoint, gda_head=head)
    report = json.loads(out.with_suffix('.json').read_text())
    assert report['images'] == 12 and report['held_out_images'] == 2
    assert report['calibration']['held_out'] is True
    assert len(report['vectors_per_class']) == 6
    assert report['head'] == head and report['extra_heads'] == {}
    assert report['test_mode'] == dict(mode='whole', resize=[])
    assert report['format'] == FORMAT
    assert len(report['checkpoint_sha256']) == 64
    assert report['versions']['torch'] == torch.__version__
    assert read_checkpoint(out)['meta']['gda'] == report
    # A file that torch itself calls safe, without our allow-list.
    script = f'import torch; torch.load({str(out)!r}, weights_only=True)'
    subprocess.run([sys.executable, '-c', script], check=True)


def test_what_the_report_warns_of(tmp_path, said):
    head = dict(tap='penultimate', nonfinite=0, absent_classes=[])
    report = dict(
        images=2,
        pixels_per_class=[9],
        vectors_per_class=[9],
        heads=[head],
        calibration=dict(pixels=9, nonfinite=0, errors_AUROC=dict(total=None)),
    )
    log_report(report, {}, tmp_path)
    assert said == []
    head.update(nonfinite=3, absent_classes=[0])
    report['calibration'].update(
        nonfinite=2, pixels=7, errors_AUROC=dict(aleatoric=80.0, total=40.0)
    )
    log_report(report, dict(classes=['sky']), tmp_path)
    absent, lost, calibration, inverted = said
    assert "['sky']" in absent
    assert '3 vectors of penultimate hold NaN' in lost
    assert '2 of the calibration pixels' in calibration
    assert 'worse than chance' in inverted


def test_absent_class_is_reported(plain_cfg, checkpoint, sample_root, caplog):
    """Only images without discs."""
    names = []
    lists = sample_root / 'ImageSets' / 'Segmentation'
    for name in (lists / 'train.txt').read_text().split():
        mask = Image.open(sample_root / 'SegmentationClass' / f'{name}.png')
        if 1 not in np.asarray(mask):
            names.append(name)
    assert names
    (lists / 'no_discs.txt').write_text('\n'.join(names) + '\n')
    plain_cfg.train_dataloader.dataset.ann_file = (
        'ImageSets/Segmentation/no_discs.txt'
    )
    out = fit_gda(plain_cfg, checkpoint)
    report = json.loads(out.with_suffix('.json').read_text())
    assert report['pixels_per_class'][1] == 0
    assert 1 in report['heads'][0]['absent_classes']
    assert torch.isneginf(density(out)['log_norms'][1])


def test_held_out_images_that_are_all_void(
    plain_cfg, checkpoint, tmp_path, said
):
    """The long pass is not lost: others of the images calibrate."""
    root = tmp_path / 'void'
    dataset = plain_cfg.train_dataloader.dataset
    shutil.copytree(dataset.data_root, root)
    dataset.data_root = str(root)
    images = image_names(fitting_dataset(fitting_dataset_config(plain_cfg)))
    for index in held_out_images(len(images), 0.2, seed=3):
        mask = root / 'SegmentationClass' / f'{Path(images[index]).stem}.png'
        Image.new('L', Image.open(mask).size, 255).save(mask)
    out = fit_gda(plain_cfg, checkpoint, calibration_fraction=0.2, seed=3)
    (text,) = [line for line in said if 'held-out' in line]
    assert 'another seed' in text and '2 held-out' in text
    report = json.loads(out.with_suffix('.json').read_text())
    assert report['held_out_images'] == 0
    assert not report['calibration']['held_out']
    assert report['calibration']['pixels'] > 0
