_base_ = './ddu_deeplabv3plus_r50-d8_4xb4-40k_voc12aug-512x512.py'
model = dict(
    backbone=dict(
        depth=101, init_cfg=dict(checkpoint='open-mmlab://resnet101_v1c')
    )
)
