"""Draw the embedded sample: a small data set in VOC layout.

Textured fields; two twin classes that nothing can tell apart (aleatoric);
in the test split, stars and crosses that training never shows (epistemic).
"""

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import cli
from mmseg_ddu.datasets.sample import SampleRecipe, make_sample


def main():
    parser = cli.parser(__doc__, 'python tools/make_sample.py data/sample')
    parser.add_argument('root', nargs='?', default='data/sample')
    for name, value in vars(SampleRecipe()).items():
        parser.add_argument(
            f'--{name}', type=int, default=value, help=f'({value})'
        )
    args = vars(parser.parse_args())
    root = make_sample(args.pop('root'), SampleRecipe(**args))
    print(f'The sample is in {root}.')


if __name__ == '__main__':
    cli.run(main)
