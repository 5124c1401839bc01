# "VOC animals 5": the images of Pascal VOC 2012 with animals, five classes
# known, horse and sheep never shown in training, all other classes ignored.
# At test a pixel of any class but the five is out of distribution.
# Set the environment variable VOC_ANIMALS to the folder that holds
# JPEGImages, SegmentationClassAug and ImageSets.
dataset_type = 'PascalVOCDataset'
data_root = '{{$VOC_ANIMALS:data/voc_animals}}'
classes = ('background', 'cat', 'cow', 'dog', 'person')
metainfo = dict(classes=classes)
held_out_labels = (13, 17)  # horse, sheep
crop_size = (192, 192)
data_prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize',
        scale=(320, 320),
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
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
    dict(type='mmseg_ddu.LoadOoDAnnotations'),
    dict(type='mmseg_ddu.PackDDUInputs'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmseg_ddu.DropImagesWithClasses',
        labels=held_out_labels,
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            metainfo=metainfo,
            data_prefix=data_prefix,
            ann_file='ImageSets/Segmentation/train_aug.txt',
            pipeline=train_pipeline,
        ),
    ),
)
val_dataset = dict(
    type=dataset_type,
    data_root=data_root,
    metainfo=metainfo,
    data_prefix=data_prefix,
    ann_file='ImageSets/Segmentation/val.txt',
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**val_dataset, pipeline=val_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**val_dataset, pipeline=test_pipeline),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = [val_evaluator, dict(type='mmseg_ddu.UncertaintyMetric')]
