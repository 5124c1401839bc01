# StreetHazards: streethazards_train.tar and streethazards_test.tar, unpacked.
# The class "anomaly" is in the test images alone.
dataset_type = 'mmseg_ddu.StreetHazardsDataset'
data_root = 'data/street_hazards'
metainfo = dict(
    classes=(
        'unlabeled',
        'building',
        'fence',
        'other',
        'pedestrian',
        'pole',
        'road line',
        'road',
        'sidewalk',
        'vegetation',
        'car',
        'wall',
        'traffic sign',
    )
)
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(1280, 720),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg_ddu.LoadOoDAnnotations'),
    dict(type='mmseg_ddu.PackDDUInputs'),
]
common = dict(type=dataset_type, data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **common,
        data_prefix=dict(
            img_path='train/images/training',
            seg_map_path='train/annotations/training',
        ),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **common,
        data_prefix=dict(
            img_path='train/images/validation',
            seg_map_path='train/annotations/validation',
        ),
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **common,
        data_prefix=dict(
            img_path='test/images/test',
            seg_map_path='test/annotations/test',
        ),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = [val_evaluator, dict(type='mmseg_ddu.UncertaintyMetric')]
