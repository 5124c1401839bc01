# RoadObstacle21 of SegmentMeIfYouCan: dataset_ObstacleTrack.zip, unpacked.
_base_ = './cityscapes.py'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    dict(type='mmseg_ddu.LoadOoDAnnotations'),
    dict(type='mmseg_ddu.PackDDUInputs'),
]
test_dataloader = dict(
    _delete_=True,
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmseg_ddu.SMIYCDataset',
        data_root='data/dataset_ObstacleTrack',
        img_suffix='.webp',
        pipeline=test_pipeline,
    ),
)
# There are no class masks, so no mIoU.
test_evaluator = [dict(type='mmseg_ddu.UncertaintyMetric')]
