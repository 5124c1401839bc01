"""Say when images are no longer what they were.

Reads manifests of tools/export_uncertainty.py in the given order and watches
three things: how unlike the training images each image is (image_novelty),
its share of unusual pixels, and its share of each class. An alarm says which
of them changed, since which image, and from what to what; then its detector
begins again.

--reference is an export of ordinary images that the model was not fitted on.
As long as new images are like those (exchangeable: in random order nobody
could tell them apart), there are on average at most --false-alarms alarms an
image, all three together. Successive frames of a film are not like that:
give one frame of each scene.

Images already taken in are passed over, so the same command may run again
with further manifests behind. Beside the state, the .jsonl has a line for
each image, and the .html control charts.

Exit code 3 says that there are new alarms, 1 that images were left out.
"""

from pathlib import Path

import mmseg_ddu.import_errors  # noqa: F401, before what may be broken
from mmseg_ddu.apis import DriftMonitor, cli


def parse_args():
    parser = cli.parser(
        __doc__,
        'python tools/monitor.py monday/ tuesday/ --reference validation/ \\\n'
        '    --state drift.json',
    )
    add = parser.add_argument
    folder = 'exported maps: a manifest.json or its folder, oldest first'
    add('manifests', nargs='+', metavar='MANIFEST', help=folder)
    ordinary = 'exported maps of ordinary images, not fitted on'
    add('--reference', nargs='+', metavar='MANIFEST', help=ordinary)
    state = 'file to begin or to go on from (drift.json)'
    add('--state', type=Path, default=Path('drift.json'), help=state)
    rate = 'at most so many an image, on average (0.001)'
    add('--false-alarms', type=float, default=0.001, help=rate)
    return parser.parse_args()


def main():
    args = parse_args()
    monitor = DriftMonitor(
        args.state, args.reference, false_alarms=args.false_alarms
    )
    lines = monitor.watch(args.manifests)
    for line in lines:
        if 'error' in line:
            print(f'Left out: {line["name"]}: {line["error"]}')
        if lost := line.get('lost_share'):
            print(f'{line["name"]}: {lost:.2%} of its pixels have no score')
        for alarm in line['alarms']:
            print(f'ALARM at {line["name"]}: {alarm["words"]}')
    left_out = sum('error' in line for line in lines)
    alarmed = sum(bool(line['alarms']) for line in lines)
    print(
        f'{len(lines)} new images, {left_out} left out, {alarmed} with an '
        f'alarm; {len(monitor.lines)} in all. See {monitor.files.page}.'
    )
    return 3 if alarmed else 1 if left_out else 0


if __name__ == '__main__':
    cli.run(main)
