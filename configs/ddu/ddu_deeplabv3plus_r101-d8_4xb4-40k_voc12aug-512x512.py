_base_ = [
    '../_base_/models/deeplabv3plus_r50-d8.py',
    '../_base_/datasets/pascal_voc12_aug.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmseg_ddu.DDUEncoderDecoder',
    backbone=dict(
        depth=101, init_cfg=dict(checkpoint='open-mmlab://resnet101_v1c')
    ),
    gda_head=dict(type='mmseg_ddu.GDAHead'),
)
custom_hooks = [dict(type='mmseg_ddu.FitGDAHook')]
