# Fishyscapes Static, validation: the overlays (fs_val_v3.zip, unpacked into
# fs_val) over the validation images of Cityscapes.
_base_ = './cityscapes.py'
test_pipeline = [
    dict(type='mmseg_ddu.LoadImageWithOverlay'),
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
        type='mmseg_ddu.FishyscapesStaticDataset',
        data_root='data/cityscapes',
        data_prefix=dict(img_path='leftImg8bit/val', ood_map_path='fs_val'),
        pipeline=test_pipeline,
    ),
)
# There are no class masks, so no mIoU.
test_evaluator = [dict(type='mmseg_ddu.UncertaintyMetric')]
