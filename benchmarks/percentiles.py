"""Do percentiles hold? Shares of in-distribution test pixels above them.

A pixel above the 95th percentile should be one of 5% on images like the
training images. Prints the shares over all pixels, and how they are spread
over images.
"""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track

from mmseg_ddu.apis import cli, init_ddu
from mmseg_ddu.engine.fitting_data import as_batch
from mmseg_ddu.evaluation.judged_samples import judge
from mmseg_ddu.models.map_names import MAPS
from mmseg_ddu.registry import DATASETS

LEVELS = (0.5, 0.9, 0.95, 0.99)


def main():
    parser = cli.parser(
        __doc__, 'python -m benchmarks.percentiles CONFIG CHECKPOINT_gda.pth'
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument(
        '--map', default='total', choices=MAPS, help='which one (total)'
    )
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model = init_ddu(args.config, args.checkpoint)
    ignore_index = model.decode_head.ignore_index
    above, pixels, images = torch.zeros(len(LEVELS)), 0, []
    for index in track(range(len(dataset)), 'Predicting'):
        with torch.no_grad():
            sample = model.test_step(as_batch(dataset[index]))[0]
        known = judge(sample.to_dict(), ignore_index).known
        field = f'pred_{args.map}_percentile'
        shares = sample.get(field).data[0][known]
        count = torch.tensor([(shares > p).sum() for p in LEVELS])
        above, pixels = above + count, pixels + len(shares)
        if len(shares):
            images.append(float(count[2] / len(shares)))
    for level, share in zip(LEVELS, above / pixels):
        print(f'above {level:.0%}: {share:.2%} (should be {1 - level:.0%})')
    images = torch.tensor(images)
    print(
        f'{len(images)} images: {(images == 0).float().mean():.0%} have no '
        f'pixel above 95%, {(images > 0.5).float().mean():.0%} more than half'
    )


if __name__ == '__main__':
    main()
