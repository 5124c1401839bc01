"""What networks, scores and sets are called on a page, and their figures."""

from __future__ import annotations

from benchmarks.proof.pixel_scores import PAPER

NETWORKS = dict(
    deeplabv3_mnv2_voc21='VOC',
    cgnet_camvid11='CGNet',
    upernet_mnv2_camvid9='UPerNet',
    deeplabv3plus_mnv2_voc5_long='animals',
    deeplabv3plus_mnv2_voc5='animals, shorter',
    deeplabv3plus_mnv2_camvid9='with members',
)
SCORES = {
    PAPER: 'density as published',
    'sml': 'SML',
    'knn': 'kNN',
    'vim': 'ViM',
}
SETS = dict(road_anomaly='roads', car_sign='cars', near='near', far='far')


def short(value: float, bar: float | None = None, sign: str = '') -> str:
    """``.123``; what rounds to the bar is shown to a digit more."""
    digits = 4 if bar is not None and abs(value - bar) < 0.0005 else 3
    return f'{value:{sign}.{digits}f}'.replace('0.', '.', 1)
