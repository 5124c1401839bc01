"""Which images, prepared how."""

import pytest

from mmseg_ddu.engine.fitting_data import (
    fitting_dataset,
    fitting_dataset_config,
    held_out_images,
    image_names,
)


def test_held_out_images():
    assert held_out_images(1, 0.1, 0) == []
    assert held_out_images(100, 0, 0) == []
    chosen = held_out_images(100, 0.1, 0)
    assert len(set(chosen)) == 10
    assert chosen == held_out_images(100, 0.1, 0)
    assert chosen != held_out_images(100, 0.1, 1)
    assert len(held_out_images(3, 0.1, 0)) == 1
    with pytest.raises(ValueError, match='calibration_fraction'):
        held_out_images(3, 1.5, 0)


def wrapped(inner: dict) -> dict[str, dict]:
    """Ways to show the same images more often, or mixed."""
    mosaic = dict(
        type='MultiImageMixDataset',
        dataset=dict(inner, pipeline=inner['pipeline'][:2]),
        pipeline=[
            dict(type='RandomMosaic', prob=1.0, img_scale=(48, 48)),
            *inner['pipeline'][2:],
        ],
    )
    return dict(
        twice=dict(type='ConcatDataset', datasets=[inner, inner]),
        mosaic=mosaic,
        many=dict(
            type='ConcatDataset',
            datasets=[
                dict(type='RepeatDataset', times=3, dataset=mosaic),
                dict(
                    type='RepeatDataset',
                    times=2,
                    dataset=dict(
                        type='ConcatDataset',
                        datasets=[
                            inner,
                            dict(
                                type='ClassBalancedDataset',
                                dataset=inner,
                                oversample_thr=0.1,
                            ),
                        ],
                    ),
                ),
            ],
        ),
    )


@pytest.mark.parametrize('name', ['twice', 'mosaic', 'many'])
def test_each_image_once(name, plain_cfg):
    inner = plain_cfg.train_dataloader.dataset.to_dict()
    plain_cfg.train_dataloader.dataset = wrapped(inner)[name]
    dataset = fitting_dataset(fitting_dataset_config(plain_cfg))
    names = image_names(dataset)
    assert len(names) == len(set(names)) == 12
    for item in (dataset[0], dataset[11]):
        assert item['inputs'].shape[1:] == (48, 48)


def test_no_labels(plain_cfg):
    steps = plain_cfg.train_dataloader.dataset.pipeline
    plain_cfg.train_dataloader.dataset.pipeline = [steps[0], steps[-1]]
    dataset = fitting_dataset(fitting_dataset_config(plain_cfg))
    with pytest.raises(ValueError, match='no step of it loads labels'):
        dataset[0]
