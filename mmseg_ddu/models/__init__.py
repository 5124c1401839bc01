"""Registered modules: the density head and the segmentors."""

from .ddu_segmentor import DDUCascadeEncoderDecoder, DDUEncoderDecoder
from .ddu_subclass import ddu_subclass
from .ensemble import EnsembleSegmentor
from .gaussian_head import gaussian_head
from .gda_head import GDAHead
from .leaky_backbone import leaky_backbone
from .mc_dropout import MCDropoutEncoderDecoder
from .tta_model import DDUTTAModel

__all__ = [
    'DDUCascadeEncoderDecoder',
    'DDUEncoderDecoder',
    'DDUTTAModel',
    'EnsembleSegmentor',
    'GDAHead',
    'MCDropoutEncoderDecoder',
    'ddu_subclass',
    'gaussian_head',
    'leaky_backbone',
]
