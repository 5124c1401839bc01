"""Does every model of the installed mmseg have a DDU form that works?"""

from .walk import zoo_coverage

__all__ = ['zoo_coverage']
