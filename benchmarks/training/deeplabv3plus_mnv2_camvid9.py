# CamVid without cars and signs: nine classes, two unknown ones that stay void.
# A recipe that a CPU trains; `randomness.seed` sets the member of an ensemble.
# CAMVID: its folder. MOBILENET_V2: ImageNet weights.
# `camvid_dataset.py` of the networks' folder is on PYTHONPATH.
_base_ = [
    '../../configs/_base_/models/deeplabv3plus_mobilenet-v2-d16.py',
    '../../configs/_base_/default_runtime.py',
]
custom_imports = dict(imports=['camvid_dataset'], allow_failed_imports=False)
crop_size = (192, 192)
iterations = 1000
model = dict(decode_head=dict(num_classes=9))
known = (
    'sky',
    'building',
    'pole',
    'road',
    'pavement',
    'tree',
    'fence',
    'pedestrian',
    'bicyclist',
)
camvid = dict(
    type='CamVidDataset',
    data_root='{{$CAMVID:data/camvid}}',
    metainfo=dict(classes=known),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(480, 360),
        ratio_range=(0.75, 1.5),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **camvid,
        data_prefix=dict(img_path='images/train', seg_map_path='labels/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **camvid,
        data_prefix=dict(img_path='images/val', seg_map_path='labels/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **camvid,
        data_prefix=dict(img_path='images/test', seg_map_path='labels/test'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=5e-4),
    clip_grad=None,
)
param_scheduler = [
    dict(
        type='PolyLR', eta_min=1e-4, power=0.9, end=iterations, by_epoch=False
    )
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=200),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
