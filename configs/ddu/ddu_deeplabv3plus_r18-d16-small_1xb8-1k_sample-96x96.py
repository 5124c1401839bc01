_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16-small.py',
    '../_base_/datasets/sample.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/schedule_40k.py',
]
max_iters = 1000
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=1e-2)
)
param_scheduler = [
    dict(
        type='PolyLR',
        eta_min=1e-5,
        power=0.9,
        begin=0,
        end=max_iters,
        by_epoch=False,
    )
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=1))
randomness = dict(seed=0)
