"""What a prediction costs: plain, DDU, MC dropout and an ensemble.

Builds the config's network in all these forms around one set of weights and
runs them in turn on drawn images: latency, extra memory, FLOPs, parameters,
the fit against an evaluation pass, and how scoring grows with image size,
classes and feature width. About eight minutes for a ResNet-50 on a CPU.
"""

from mmseg_ddu.apis import cli

from .page import as_text
from .run import benchmark


def parse_args():
    parser = cli.parser(
        __doc__,
        'python -m benchmarks.cost CONFIG --threads 1 --json benchmark.json '
        '--name r50_cpu',
    )
    parser.add_argument('config', help='config of the network')
    parser.add_argument(
        'checkpoint', nargs='?', help='its weights; random ones without'
    )
    cli.add_gda_options(
        parser, "the default density head, instead of the config's"
    )
    parser.add_argument(
        '--size',
        type=cli.height_and_width,
        default=(512, 512),
        metavar='HxW',
        help='image (512x512)',
    )
    parser.add_argument(
        '--name', default='r50_cpu', help='of the run in the file (r50_cpu)'
    )
    parser.add_argument(
        '--rounds', type=int, default=3, help='repetitions (3)'
    )
    parser.add_argument(
        '--fit-images', type=int, default=20, help='images of the fit (20)'
    )
    parser.add_argument('--threads', type=int, help="of the CPU (torch's own)")
    parser.add_argument('--device', help='cuda if there is one, else cpu')
    parser.add_argument('--json', help='file to write; other runs are kept')
    parser.add_argument('--plot', help='PNG to write')
    cli.add_cfg_options(parser)
    cli.add_trust_checkpoint(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    result = benchmark(
        args.config,
        args.checkpoint,
        gda_head=args.gda_options,
        size=args.size,
        rounds=args.rounds,
        fit_images=args.fit_images,
        threads=args.threads,
        device=args.device,
        json_path=args.json,
        name=args.name,
        plot_path=args.plot,
        cfg_options=args.cfg_options,
    )
    print(as_text(result))


if __name__ == '__main__':
    cli.run(main)
