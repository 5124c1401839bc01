"""Does every model of the installed mmseg have a DDU form that works?"""

from mmseg_ddu.mmcv_without_ops import allow_missing_mmcv_ops

allow_missing_mmcv_ops()  # before anything imports mmseg
