"""Images of other data sets, seen through a network's own test pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg_ddu.registry import type_name

ANOMALY = 2  # in the masks of Road Anomaly
ROAD_SIZE = (640, 360)  # the height of CamVid's frames


def camvid(data: Path, pipeline: Sequence[dict]) -> dict:
    """Its test images."""
    return _folder(
        data / 'camvid',
        dict(img_path='images/test', seg_map_path='labels/test'),
        pipeline,
    )


def voc21(data: Path, pipeline: Sequence[dict]) -> dict:
    """Its validation images."""
    return _folder(
        data / 'voc21',
        dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        pipeline,
        ann_file=_list(data / 'voc21', 'val.txt'),
    )


def road_anomaly(data: Path, pipeline: Sequence[dict]) -> dict:
    """All of its images; ``ANOMALY`` in the masks is what is unknown."""
    resize = dict(type='Resize', scale=ROAD_SIZE, keep_ratio=True)
    steps = [pipeline[0], resize, *pipeline[1:]]
    prefix = dict(img_path='images', seg_map_path='labels_masks')
    root = data / 'road_anomaly'
    kinds = [
        kind for kind in ('.jpg', '.png') if any(root.glob(f'images/*{kind}'))
    ]
    sets = [_folder(root, prefix, steps, img_suffix=kind) for kind in kinds]
    return dict(type='ConcatDataset', datasets=sets)


def _list(root: Path, name: str) -> str:
    """Where a list of images lies below the root."""
    (path,) = root.rglob(name)
    return str(path.relative_to(root))


def _folder(root: Path, prefix: dict, pipeline, **options) -> dict:
    plain = {
        'mmseg_ddu.LoadOoDAnnotations': dict(type='LoadAnnotations'),
        'mmseg_ddu.PackDDUInputs': dict(type='PackSegInputs'),
    }
    pipeline = [plain.get(type_name(step), step) for step in pipeline]
    return dict(
        type='BaseSegDataset',
        data_root=str(root.resolve()),
        data_prefix=prefix,
        metainfo=dict(classes=('anything',)),
        pipeline=pipeline,
        **options,
    )
