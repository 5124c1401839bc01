"""The files that the location study writes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tables import markdown_table
from mmseg_ddu.fileio import atomic_write, write_json

from .pairs import OTHER_CLASS, OTHER_IMAGE
from .picture import save_picture

NAME = 'location_study'


def write_report(report: dict, out_dir: Path) -> None:
    """JSON, Markdown and picture, each whole or not at all."""
    write_json(out_dir / f'{NAME}.json', report)
    with atomic_write(out_dir / f'{NAME}.md') as path:
        path.write_text(page(report))
    with atomic_write(out_dir / f'{NAME}.png') as path:
        save_picture(report, path)


def page(report: dict) -> str:
    """Tables of the report."""
    images, memory = report['images'], report['memory']
    parts = [
        f'Features: `{report["tap"]}`, {report["transform"]}, '
        f'{memory["num_features"]} dimensions; {images["train"]} training '
        f'and {images["test"]} test images, {report["test_pixels"]:,} test '
        'pixels.',
        '## Similarity by place',
        'Mean cosine of pairs of pixels from different images, nearest and '
        'farthest bin of distance; *other* = pairs with other classes; '
        '*told apart* = AUROC of the class with itself against others.',
    ]
    for name, similarity in report['similarity'].items():
        parts.append(f'{name.capitalize()} features:')
        parts.append(_similarity_table(report['classes'], similarity))
    parts += [
        '## Gaussians per cell',
        'AUROC in percent; *moved* = the same with the grid moved at random '
        'from image to image, so that its cells mean nothing; *thin* = share '
        'of classes in cells with no more training pixels than dimensions.',
        _grid_table(report['grids'], memory),
    ]
    return '\n\n'.join(parts) + '\n'


def _similarity_table(classes: list[str], similarity: dict) -> str:
    edges = similarity['edges']
    places = (f'< {edges[1]:g}', f'> {edges[-2]:g}')
    header = [f'{w}, {place}' for w in ('itself', 'other') for place in places]
    rows = [
        [
            name,
            *(
                _shown(means[kind][place], 3)
                for kind in (OTHER_IMAGE, OTHER_CLASS)
                for place in (0, -1)
            ),
            _shown(auroc, 3),
        ]
        for name, means, auroc in zip(
            classes, similarity['means'], similarity['separability']
        )
    ]
    return markdown_table(['class', *header, 'told apart'], rows)


def _grid_table(grids: list[dict], memory: dict) -> str:
    header = ['misclassified', 'moved', 'out of distribution', 'moved']
    rows = [
        [
            f'{row["grid"]} x {row["grid"]}',
            *(
                _shown(quality[key], 1)
                for key in ('mis_AUROC', 'ood_AUROC')
                for quality in (row, row['control'])
            ),
            f'{row["megabytes"]:,.1f}',
            f'{row["thin"]:.2f}',
        ]
        for row in grids
    ]
    height, width = memory['feature_map']
    every = f'{memory["per_pixel_megabytes"]:,.0f}'
    rows.append([f'{height} x {width}: every pixel', *[None] * 4, every, None])
    return markdown_table(['grid', *header, 'memory, MB', 'thin'], rows)


def _shown(value: float | None, digits: int) -> str | None:
    return None if value is None else f'{value:.{digits}f}'
