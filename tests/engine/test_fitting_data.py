"""Which images, prepared how."""

import pytest
from mmseg.datasets import BaseSegDataset

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


class DropsInTraining(BaseSegDataset):
    """As mmdetection's data sets do: a test keeps all images."""

    def filter_data(self):
        return self.data_list if self.test_mode else self.data_list[3:]


class FixedPipeline(DropsInTraining):
    """Takes no pipeline from its config."""

    def __init__(self, data_root, data_prefix):
        super().__init__(data_root=data_root, data_prefix=data_prefix)


def own_data(cfg, kind):
    inner = cfg.train_dataloader.dataset.to_dict()
    inner['type'] = kind
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=inner
    )
    return inner


def test_images_that_training_leaves_out_stay_out(plain_cfg):
    own_data(plain_cfg, DropsInTraining)
    dataset = fitting_dataset(fitting_dataset_config(plain_cfg))
    assert len(image_names(dataset)) == 9
    # From here on, nothing comes in place of an unreadable image.
    bare = dataset
    while not isinstance(bare, BaseSegDataset):
        bare = bare.dataset
    assert bare.test_mode


def test_a_data_set_without_a_pipeline_is_named(plain_cfg):
    inner = own_data(plain_cfg, FixedPipeline)
    for name in set(inner) - {'type', 'data_root', 'data_prefix', 'pipeline'}:
        inner.pop(name)
    plain_cfg.train_dataloader.dataset = inner
    with pytest.raises(ValueError, match='FixedPipeline cannot be built'):
        fitting_dataset_config(plain_cfg)
