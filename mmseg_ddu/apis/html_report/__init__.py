"""One HTML file with everything: table, curves and a browser of images."""

from .page import write_report

__all__ = ['write_report']
