_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16-small.py',
    '../_base_/datasets/sample.py',
    '../_base_/schedules/schedule_1k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmseg_ddu.DDUEncoderDecoder',
    gda_head=dict(type='mmseg_ddu.GDAHead'),
)
custom_hooks = [dict(type='mmseg_ddu.FitGDAHook')]
