"""Try every model that the installed mmseg ships in its DDU form.

For one config of each combination of method, segmentor, backbone and heads
(or all): build the plain model without weights and predict, convert it as
fit_gda does, fit the densities on random images, predict in the config's own
test mode, check the maps. Results are written after each config; an
interrupted run goes on where it stopped.

Exit code 1 says that a model that mmseg can run neither works nor is refused.
"""

from mmseg_ddu.apis import cli

from .page import headline, write_page
from .walk import zoo_coverage


def parse_args():
    parser = cli.parser(
        __doc__,
        'python -m benchmarks.zoo --all --doc docs/zoo_coverage.md',
    )
    parser.add_argument(
        '--out',
        default='results/zoo_coverage.json',
        help='JSON file to write, or to go on with',
    )
    parser.add_argument('--doc', help='Markdown file for the tables')
    parser.add_argument('--all', action='store_true', help='every config')
    parser.add_argument(
        '--only', help='shell pattern of configs to try (again): "knet/*"'
    )
    parser.add_argument(
        '--root', help="folder of configs (the installed mmseg's)"
    )
    parser.add_argument(
        '--timeout', type=float, default=900, help='seconds a config (900)'
    )
    parser.add_argument(
        '--memory-gb', type=float, default=14, help='memory a config (14)'
    )
    return parser.parse_args()


def main():
    args = parse_args()
    result = zoo_coverage(
        args.out,
        root=args.root,
        every=args.all,
        only=args.only,
        timeout=args.timeout,
        memory_gb=args.memory_gb,
    )
    print(headline(result))
    if args.doc:
        write_page(args.doc, result)
    return 1 if result['error'] else 0


if __name__ == '__main__':
    cli.run(main)
