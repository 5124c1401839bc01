"""Pictures of uncertainty."""

from .heatmap import (
    blend,
    class_colors,
    color_bar,
    colorize,
    heat_map,
    side_by_side,
)
from .hook import DDUVisualizationHook
from .visualizer import DDULocalVisualizer

__all__ = [
    'DDULocalVisualizer',
    'DDUVisualizationHook',
    'blend',
    'class_colors',
    'color_bar',
    'colorize',
    'heat_map',
    'side_by_side',
]
