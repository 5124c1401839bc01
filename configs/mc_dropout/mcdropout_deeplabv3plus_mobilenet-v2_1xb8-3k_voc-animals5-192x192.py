_base_ = (
    '../ddu/ddu_deeplabv3plus_mobilenet-v2_1xb8-3k_voc-animals5-192x192.py'
)
model = dict(
    type='mmseg_ddu.MCDropoutEncoderDecoder',
    num_passes=10,
    gda_head=dict(_delete_=True),
)
custom_hooks = []
