"""Pictures of uncertainty."""

from .heatmap import (
    blend,
    class_colors,
    color_bar,
    colorize,
    heat_map,
    side_by_side,
)

__all__ = [
    'blend',
    'class_colors',
    'color_bar',
    'colorize',
    'heat_map',
    'side_by_side',
]
