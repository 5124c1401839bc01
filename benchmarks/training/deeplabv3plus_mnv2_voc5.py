# VOC animals: five classes known, horse and sheep held out. The recipe of the
# CamVid network beside this file, for a CPU; the network is a plain one.
# VOC_ANIMALS: its folder. MOBILENET_V2: ImageNet weights.
_base_ = [
    '../../configs/_base_/models/deeplabv3plus_mobilenet-v2-d16.py',
    '../../configs/_base_/datasets/voc_animals5.py',
    '../../configs/_base_/schedules/schedule_3k.py',
    '../../configs/_base_/default_runtime.py',
]
iterations = 1000
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = [
    dict(
        type='PolyLR', eta_min=1e-4, power=0.9, end=iterations, by_epoch=False
    )
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations
)
default_hooks = dict(
    checkpoint=dict(
        _delete_=True, type='CheckpointHook', by_epoch=False, interval=200
    )
)
