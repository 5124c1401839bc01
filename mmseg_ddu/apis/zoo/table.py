"""The results as Markdown."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from mmseg_ddu.fileio import atomic_write

from .configs import CLASSES, IMAGE, LARGE, WINDOW

COMMAND = 'python tools/zoo_coverage.py {every}--doc docs/zoo_coverage.md'
STATUSES = ('works', 'refused', 'error', 'unbuildable')
HOW = f"""\
For each config of the mmseg package (one of each combination of method,
backbone and decode heads, unless all are asked for with `--all`): build the
plain model without weights (random ones; `SyncBN` becomes `BN`, whose
statistics come from one pass) and predict; convert it as `tools/fit_gda.py`
does; fit its densities on 3 images of {IMAGE[0]}x{IMAGE[1]} coloured noise
with labels ({LARGE[0]}x{LARGE[1]} where the plain model cannot take that);
predict in the config's own test mode. Sliding windows are {WINDOW}x{WINDOW},
and there are {CLASSES} classes where the config has more; text encoders get
one sentence a class. It *works* if `pred_epistemic` and `pred_aleatoric` are
(1, H, W) at the size asked for, finite, the first not constant and the second
in [0, log C], and if logits and classes are those of the plain model. It is
*unbuildable* if mmseg itself cannot build or run the plain model there.
Models that differ in weights or training alone are tried once. ConvNeXt and
PoolFormer need `onedl-mmpretrain` (and that `torchvision`), Mask2Former and
MaskFormer `onedl-mmdetection`; all were there, `torchvision` without its
compiled operators, which no model here calls. mmcv was without compiled ops;
the ones written in Python work, PSANet's is not. VPD needs the source and the
weights of Stable Diffusion; it is refused without being built. The command
goes on where an earlier one stopped; the first line says how far it has
come."""
# Every kind of head that does not just end in cls_seg, one by one.
DECISIONS = (
    (
        'Cascades (OCRNet)',
        'the last head: its `conv_seg`, its threshold, its void label',
    ),
    (
        'Several classifiers (DANet, DDRNet, PIDNet) or auxiliary heads '
        '(ENCNet, ICNet, BiSeNet, STDC and many more)',
        'the one that makes the prediction, `decode_head.conv_seg`; what only '
        'trains is left alone',
    ),
    (
        'Binary heads (`out_channels=1`)',
        'two classes in the density; the class is `sigmoid > threshold` of '
        'the last head, the entropy that of the Bernoulli',
    ),
    (
        'Point heads (PointRend)',
        'the feature of the coarse head: the point head corrects a few '
        'points of its prediction and has no feature elsewhere. Classes and '
        'entropy are the refined ones',
    ),
    (
        'Dynamic kernels (K-Net `IterativeDecodeHead`)',
        'the feature of the kernel-generating head, to which the kernels of '
        'every stage are applied. Views that ask for the predicted class get '
        'that of the first stage; classes and entropy are those of the last',
    ),
    (
        'Random bases (SegNeXt `LightHamHead`)',
        'supported; two predictions of one image differ a little, in mmseg '
        'too',
    ),
    (
        'Mask classification (Mask2Former, MaskFormer)',
        'refused: the scores of a pixel are sums over masks',
    ),
    (
        'Segmenter mask head',
        'refused: class vectors are computed anew from each image',
    ),
    (
        'Multi-modal (SAN)',
        'refused: masks are classified by the closest text embedding',
    ),
    ('Depth (VPD)', 'refused: no classes'),
)


def headline(result: dict) -> str:
    """One line with the counts and the shares."""
    refused = sum(result['refused'].values())
    runs = result['works'] + refused + result['error']
    share = 100 * result['works'] / runs if runs else 0.0
    return (
        f'mmseg {result["mmseg"]}: {result["tried"]} of its '
        f'{result["configs"]} configs tried, {result["models"]} different '
        f'models; of {runs} configs that mmseg can run here '
        f'{result["works"]} work ({share:.1f}%), {refused} are refused with '
        f'a reason, {result["error"]} fail; {result["unbuildable"]} more '
        'mmseg cannot build or run here.'
    )


def markdown(result: dict, every: bool = False) -> str:
    """The page of the results.

    Args:
        result (dict): Of ``zoo_coverage``.
        every (bool): Whether all configs were asked for.
    """
    command = COMMAND.format(every='--all ' if every else '')
    rows = result['rows']
    parts = [
        '# Coverage of the mmseg zoo',
        headline(result),
        '<!-- not run: builds every model of mmseg, for an hour -->',
        f'```bash\n{command}\n```',
        HOW,
        '## Decisions',
        _table(('head', 'decision'), DECISIONS),
        '## Results',
        _table(
            ('method', 'backbone', 'decode heads', *STATUSES),
            _by_parts(rows),
        ),
    ]
    for status, title in (
        ('error', 'Errors'),
        ('refused', 'Refused'),
        ('unbuildable', 'What mmseg cannot run here'),
    ):
        counts = _reasons(rows, status)
        if counts:
            table = _table(('configs', 'of', 'reason'), counts)
            parts += [f'## {title}', table]
    return '\n\n'.join(parts) + '\n'


def write_doc(
    path: str | os.PathLike, result: dict, every: bool = False
) -> None:
    """Write the page of :func:`markdown`, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(markdown(result, every))


def _by_parts(rows: list[dict]) -> list[tuple]:
    groups: dict[tuple, Counter] = defaultdict(Counter)
    for row in rows:
        key = (row['method'], row['backbone'], row['heads'])
        groups[key][row['status']] += 1
    return [
        (*key, *(counts[status] or '' for status in STATUSES))
        for key, counts in sorted(groups.items())
    ]


def _reasons(rows: list[dict], status: str) -> list[tuple]:
    counts: Counter = Counter()
    methods = defaultdict(set)
    for row in rows:
        if row['status'] == status:
            counts[row['reason']] += 1
            methods[row['reason']].add(row['method'])
    return [
        (count, ', '.join(sorted(methods[reason])), _cell(reason))
        for reason, count in counts.most_common()
    ]


def _cell(text: str) -> str:
    return text.replace('|', r'\|').replace('\n', ' ')


def _table(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    lines = [list(header)]
    lines.append(['---'] * len(lines[0]))
    lines += [[str(cell) for cell in row] for row in rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
