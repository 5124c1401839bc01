_base_ = '../ddu/ddu_deeplabv3plus_r18-d16-small_1xb8-1k_sample-96x96.py'
model = dict(
    type='mmseg_ddu.MCDropoutEncoderDecoder',
    num_passes=10,
    gda_head=dict(_delete_=True),
)
custom_hooks = []
