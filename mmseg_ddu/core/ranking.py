"""Here until all imports name ``mmseg_ddu.core.metrics.ranking_counts``."""

from .metrics.ranking_counts import RankingCounts

__all__ = ['RankingCounts']
