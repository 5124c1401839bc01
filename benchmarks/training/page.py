"""The tables of docs/training.md that `results/` has.

python -m benchmarks.training.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.tables import markdown_table, with_tables
from mmseg_ddu.apis import cli
from mmseg_ddu.models.gda_head import PENULTIMATE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs/training.md'
NETWORKS = dict(
    cgnet_camvid11='CGNet',
    upernet_mnv2_camvid9='UPerNet',
    deeplabv3_mnv2_voc21='DeepLab-v3',
)
DATA = dict(camvid9='CamVid', voc5='VOC animals')
COLUMNS = {  # heading and digits
    'miou': ('mIoU', 1),
    'errors': ('errors, total', 3),
    'unknown_epistemic': ('unknown: density', 3),
    'unknown_total': ('total', 3),
    'unknown_entropy': ('entropy', 3),
    'shifts': ('shifts', 3),
    'ece': ('ECE', 1),
    'seconds_per_iteration': ('seconds per iteration', 2),
}


def variant_table(name: str, results: Mapping[str, Mapping]) -> str:
    """A row for each data set and variant of a file of results."""
    rows = [
        [
            f'{DATA[data]}, {variant}',
            len(figures['seeds']),
            *(cell(figures, key) for key in COLUMNS),
        ]
        for data, variants in results[name].items()
        for variant, figures in variants.items()
    ]
    titles = [title for title, _ in COLUMNS.values()]
    return markdown_table(['', 'seeds', *titles], rows)


def cell(figures: Mapping, key: str) -> str:
    """Mean and spread over seeds, each where it is known."""
    digits = COLUMNS[key][1]
    known = [figures[k] for k in (key, f'{key}_std') if figures[k] is not None]
    texts = [f'{value:.{digits}f}' for value in known]
    return ' ± '.join(t.removeprefix('0') if digits > 1 else t for t in texts)


def taps(results: Mapping[str, Mapping]) -> Iterator[tuple[str, Mapping]]:
    """Network and tap, and what was found of them."""
    found = results['distances']
    for network in sorted(found, key=[*NETWORKS].index):
        for tap, figures in found[network].items():
            title = 'the feature' if tap == PENULTIMATE else f'`{tap}`'
            yield f'{NETWORKS[network]}, {title}', figures


def ratio_table(results: Mapping[str, Mapping]) -> str:
    """What taps keep of the distance of images, and of noise in bands."""
    titles = ('values for each of the image', 'pair of images')
    bands = ('noise: lowest band', 'middle (4)', 'highest')
    rows = []
    for title, figures in taps(results):
        noise = figures['bands']
        ratios = figures['pairs']['median'], noise[0], noise[3], noise[-1]
        values = figures['values_per_input'], *ratios
        rows.append([title, *(shortest(value) for value in values)])
    return markdown_table(['network, tap', *titles, *bands], rows)


def direction_table(results: Mapping[str, Mapping]) -> str:
    """The directions that taps keep least, of each of the images."""
    rows = []
    for title, figures in taps(results):
        found = figures['flattest']
        products = [
            str(number) if done else 'stopped'
            for number, done in zip(found['products'], found['converged'])
        ]
        ends = [path[-1][1:] for path in found.get('path', [])]
        columns = (
            map(shortest, found['ratios']),
            products,
            (shortest(before) for before, _ in ends),
            (shortest(after) for _, after in ends),
            (f'{a:.1f} → {b:.1f}' for a, b in found.get('scores', [])),
        )
        rows.append([title, *map(', '.join, columns)])
    titles = ('smallest ratio', 'products', 'change of .15', 'bent', 'score')
    return markdown_table(['network, tap', *titles], rows)


def shortest(value: float) -> str:
    """Two digits, ``.012``."""
    text = f'{float(f"{value:.2g}"):.12f}'.rstrip('0').rstrip('.')
    return text.lstrip('0') or '0'


def measured() -> dict:
    """What there is of results, by the name of its file."""
    files = {name: ROOT / f'results/{name}.json' for name in RESULTS}
    return {
        name: json.loads(file.read_text())
        for name, file in files.items()
        if file.exists()
    }


RESULTS = ('training', 'pruning', 'distances')
TABLES = {
    'training': partial(variant_table, 'training'),
    'pruning': partial(variant_table, 'pruning'),
    'ratios': ratio_table,
    'directions': direction_table,
}


def main() -> None:
    cli.parser(__doc__, 'python -m benchmarks.training.page').parse_args()
    PAGE.write_text(with_tables(PAGE.read_text(), TABLES, measured()))


if __name__ == '__main__':
    cli.run(main)
