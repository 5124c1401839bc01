_base_ = (
    '../ddu/ddu_deeplabv3plus_mobilenet-v2-d8_4xb4-40k_voc12aug-512x512.py'
)
model = dict(
    type='mmseg_ddu.MCDropoutEncoderDecoder',
    num_passes=10,
    gda_head=dict(_delete_=True),
)
custom_hooks = []
