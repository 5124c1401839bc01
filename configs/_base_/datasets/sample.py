# The embedded sample: python tools/make_sample.py data/sample
dataset_type = 'BaseSegDataset'
data_root = '{{$DDU_SAMPLE:data/sample}}'
metainfo = dict(
    classes=('grass', 'brick', 'water', 'sand', 'twin_a', 'twin_b'),
    palette=[
        [40, 40, 40],
        [214, 69, 65],
        [63, 127, 191],
        [77, 175, 74],
        [152, 78, 163],
        [255, 160, 40],
    ],
)
twins = ('twin_a', 'twin_b')
common = dict(
    type=dataset_type,
    data_root=data_root,
    metainfo=metainfo,
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomFlip',
        prob=[0.3, 0.3, 0.2],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='PackSegInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg_ddu.LoadOoDAnnotations', ood_dir='OoDMask'),
    dict(type='mmseg_ddu.PackDDUInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **common,
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **common,
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=val_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **common,
        ann_file='ImageSets/Segmentation/test.txt',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = [
    val_evaluator,
    dict(type='mmseg_ddu.UncertaintyMetric', ambiguous_classes=twins),
]
