"""What was asked of the maps before they were measured, network by network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.proof.pixel_scores import CONSTANT, OTHERS, PAPER
from benchmarks.proof.titles import NETWORKS, SCORES, SETS, short
from benchmarks.tables import markdown_table
from mmseg_ddu.models.map_names import MAPS

ENTROPY, DENSITY, TOTAL = MAPS
# Scores of one pass that say something of a pixel.
SINGLE_PASS = (
    ENTROPY,
    DENSITY,
    PAPER,
    *(row for row in OTHERS if row not in (CONSTANT, 'random')),
)
TRAINED_TO_THE_END = ('deeplabv3_mnv2_voc21', 'cgnet_camvid11')
ROADS = 'road_anomaly'
CARS = ('upernet_mnv2_camvid9', 'car_sign')
LEAST_LOSS = -0.01
WANTED_SHARE = (0.04, 0.06)

Answers = list[tuple[str, bool]]  # a figure, and whether the bar is met


def signed(value: float) -> str:
    """``+.123``."""
    return short(value, LEAST_LOSS, '+')


def differences(key: str, row: str, other: str, least: Callable) -> Callable:
    """One score less another on a question, against a bar of the network."""

    def answers(name: str, network: Mapping) -> Answers:
        rows = network['rows']
        value = rows[row][key] - rows[other][key]
        return [(signed(value), value >= least(name))]

    return answers


def unknown_of(network: Mapping, row: str) -> dict[str, float]:
    """Set of unknown objects to the AUROC of a score."""
    sets = network['rows'][row]['unknown']
    return {k: value for k, value in sets.items() if not k.endswith('_std')}


def density_of_unknown(name: str, network: Mapping) -> Answers:
    return [
        (
            f'{SETS[key]} {short(value)}',
            value >= (0.8 if (name, key) == CARS else 0.5),
        )
        for key, value in unknown_of(network, DENSITY).items()
    ]


def density_of_roads(name: str, network: Mapping) -> Answers:
    ours, entropy = (unknown_of(network, row) for row in (DENSITY, ENTROPY))
    if ROADS not in ours:
        return []
    value = ours[ROADS] - entropy[ROADS]
    return [(signed(value), value > 0)]


def total_of_unknown(name: str, network: Mapping) -> Answers:
    found = []
    for key, ours in unknown_of(network, TOTAL).items():
        others = {row: unknown_of(network, row)[key] for row in SINGLE_PASS}
        best = max(others, key=others.__getitem__)
        value = ours - others[best]
        text = f'{SETS[key]} {signed(value)} ({SCORES.get(best, best)})'
        found.append((text, value >= LEAST_LOSS))
    return found


def better_rows(name: str, network: Mapping) -> Answers:
    """Scores that beat the total on every question at once."""

    def gains(row: str) -> list[float]:
        rows = network['rows']
        keys = ('errors', 'shifts_mean')
        known = [rows[row][key] - rows[TOTAL][key] for key in keys]
        ours, theirs = (unknown_of(network, each) for each in (TOTAL, row))
        return [*known, *(theirs[key] - ours[key] for key in ours)]

    better = [row for row in network['rows'] if min(gains(row)) > -LEAST_LOSS]
    return [(', '.join(better) or 'none', not better)]


def flagged(name: str, network: Mapping) -> Answers:
    low, high = WANTED_SHARE
    shares = [network['above_95'][key] for key in MAPS]
    return [(f'{100 * v:.1f}', low <= v <= high) for v in shares]


def to_the_end(wanted: float, otherwise: float) -> Callable[[str], float]:
    return lambda name: wanted if name in TRAINED_TO_THE_END else otherwise


SHIFTS, ERRORS, TOP = 'shifts_mean', 'errors', 'pui80'
BARS: dict[str, Callable[[str, Mapping], Answers]] = {
    'epistemic less entropy, shifts: .10, trained to the end': differences(
        SHIFTS, DENSITY, ENTROPY, to_the_end(0.1, -1)
    ),
    **{
        f'epistemic less {SCORES.get(other, other)}, shifts: '
        'above 0': differences(SHIFTS, DENSITY, other, lambda name: 0)
        for other in ('energy', 'knn', 'vim')
    },
    'epistemic, unknown objects: .5; UPerNet, cars: .80': density_of_unknown,
    'epistemic less entropy, Road Anomaly: above 0': density_of_roads,
    'total less entropy, errors: -.010': differences(
        ERRORS, TOTAL, ENTROPY, lambda name: LEAST_LOSS
    ),
    'total less entropy, wrong pixels in the top fifth: -.010': differences(
        TOP, TOTAL, ENTROPY, lambda name: LEAST_LOSS
    ),
    'total less the best of one pass, unknown objects: -.010': (
        total_of_unknown
    ),
    'total less entropy, shifts: .05; trained to the end: .10': differences(
        SHIFTS, TOTAL, ENTROPY, to_the_end(0.1, 0.05)
    ),
    'better than total by .01 in everything: none': better_rows,
    'percent above the 95th percentile, three maps: 4 to 6': flagged,
}


def bar_table(networks: Mapping[str, Mapping]) -> str:
    """A row for each bar, a column for each network; missed ones are bold."""
    lines = []
    for bar, ask in BARS.items():
        cells = [
            ', '.join(text if met else f'**{text}**' for text, met in answers)
            for answers in (ask(*item) for item in networks.items())
        ]
        lines.append([bar, *cells])
    titles = [NETWORKS.get(name, name) for name in networks]
    return markdown_table(['bar', *titles], lines)
