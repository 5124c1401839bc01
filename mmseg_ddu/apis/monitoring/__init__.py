"""Watching a stream of exported images for drift."""

from .drift_monitor import DriftMonitor

__all__ = ['DriftMonitor']
