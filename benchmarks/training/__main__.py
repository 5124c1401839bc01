"""What training for a density buys, and what it costs.

Each variant of one recipe is trained with several seeds, fitted and judged:
mIoU, wrong pixels by the total map, unknown objects by density, total and
entropy, changed images by the density, calibration. A training goes on where
it was stopped, and each finished one is kept in the file of results.

  python -m benchmarks.training --networks A --weights B --data C
"""

from __future__ import annotations

from benchmarks.training.trainings import measure_variants
from benchmarks.training.variants import VARIANTS
from mmseg_ddu.apis import cli


def main() -> None:
    measure_variants(
        cli.parser(__doc__, 'python -m benchmarks.training …'),
        VARIANTS,
        'results/training.json',
    )


if __name__ == '__main__':
    cli.run(main)
