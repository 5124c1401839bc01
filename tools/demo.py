"""The whole path on the embedded sample, in minutes on a CPU.

Draws the sample, trains a small DeepLab-v3+, fits the densities, tests,
exports maps and compares with MC dropout in one table.
"""

from pathlib import Path

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli
from mmseg_ddu.apis.demo import demo

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def main():
    parser = cli.parser(__doc__, 'python tools/demo.py')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/demo',
        help='folder for everything but the sample (work_dirs/demo)',
    )
    parser.add_argument(
        '--max-iters', type=int, help="shorter training (the config's 1,000)"
    )
    args = parser.parse_args()
    demo(CONFIGS, args.work_dir, args.max_iters)


if __name__ == '__main__':
    cli.run(main)
