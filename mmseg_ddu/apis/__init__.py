"""What the tools do, callable from Python."""

from mmseg_ddu.engine.fit import fit_gda

from .added_class import add_class
from .compare import aggregate, compare
from .exporting import export
from .html_report import write_report
from .inference import init_ddu, predict
from .inferencer import DDUInferencer
from .model_check import check_model
from .monitoring import DriftMonitor
from .onnx_export import export_onnx
from .promise import fit_abstention
from .ranking import rank_images
from .rasters import export_raster
from .runner import train
from .testing import test

__all__ = [
    'DDUInferencer',
    'DriftMonitor',
    'add_class',
    'aggregate',
    'check_model',
    'compare',
    'export',
    'export_onnx',
    'export_raster',
    'fit_abstention',
    'fit_gda',
    'init_ddu',
    'predict',
    'rank_images',
    'test',
    'train',
    'write_report',
]
