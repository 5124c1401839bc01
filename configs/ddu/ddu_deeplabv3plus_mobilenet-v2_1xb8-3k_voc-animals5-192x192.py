# Set VOC_ANIMALS to the data folder and MOBILENET_V2 to ImageNet weights of
# mmseg's MobileNetV2.
_base_ = [
    '../_base_/models/deeplabv3plus_mobilenet-v2-d8.py',
    '../_base_/datasets/voc_animals5.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_40k.py',
]
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(192, 192)),
    backbone=dict(
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        norm_cfg=norm_cfg,
        init_cfg=dict(checkpoint='{{$MOBILENET_V2:mmcls://mobilenet_v2}}'),
    ),
    decode_head=dict(
        channels=256,
        dilations=(1, 6, 12, 18),
        num_classes=5,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=None,
)
max_iters = 3000
param_scheduler = [
    dict(
        type='PolyLR',
        eta_min=1e-4,
        power=0.9,
        begin=0,
        end=max_iters,
        by_epoch=False,
    )
]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=1))
