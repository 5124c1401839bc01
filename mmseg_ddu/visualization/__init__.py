"""Pictures of uncertainty."""

from .visualizer import DDULocalVisualizer, DDUVisualizationHook

__all__ = ['DDULocalVisualizer', 'DDUVisualizationHook']
