"""The files that the location study writes."""

from __future__ import annotations

from pathlib import Path

from mmseg_ddu.core.location import OTHER_CLASS, OTHER_IMAGE
from mmseg_ddu.fileio import atomic_write, write_json
from mmseg_ddu.visualization.location import save_location_picture

NAME = 'location_study'


def write_report(report: dict, out_dir: Path) -> None:
    """JSON, Markdown and picture, each whole or not at all."""
    write_json(out_dir / f'{NAME}.json', report)
    with atomic_write(out_dir / f'{NAME}.md') as path:
        path.write_text(markdown(report))
    with atomic_write(out_dir / f'{NAME}.png') as path:
        save_location_picture(report, path)


def markdown(report: dict) -> str:
    """Tables of the report."""
    images, memory = report['images'], report['memory']
    height, width = memory['feature_map']
    pairs = report['similarity']
    lines = [
        f'Features: `{report["tap"]}`, {report["transform"]}, '
        f'{memory["num_features"]} dimensions; {images["train"]} training '
        f'and {images["test"]} test images, {report["test_pixels"]:,} test '
        'pixels.',
        '',
        '## Similarity by place',
        '',
        'Mean cosine of pairs of pixels from different images, nearest and '
        'farthest bin of distance; *other* = pairs with other classes; '
        '*told apart* = AUROC of the class with itself against others.',
    ]
    for name, similarity in pairs.items():
        lines += ['', f'{name.capitalize()} features:', '']
        lines += _similarity_table(report['classes'], similarity)
    lines += [
        '',
        '## Gaussians per cell',
        '',
        'AUROC in percent; *moved* = the same with the grid moved at random '
        'from image to image, so that its cells mean nothing; *thin* = share '
        'of classes in cells with no more training pixels than dimensions.',
        '',
        '| grid | misclassified | moved | out of distribution | moved | '
        'memory, MB | thin |',
        '| --- | --- | --- | --- | --- | --- | --- |',
    ]
    lines += [
        f'| {row["grid"]} x {row["grid"]} | '
        f'{_cell(row["mis_AUROC"], 1)} | '
        f'{_cell(row["control"]["mis_AUROC"], 1)} | '
        f'{_cell(row["ood_AUROC"], 1)} | '
        f'{_cell(row["control"]["ood_AUROC"], 1)} | '
        f'{row["megabytes"]:,.1f} | {row["thin"]:.2f} |'
        for row in report['grids']
    ]
    lines += [
        f'| {height} x {width}: every pixel | | | | | '
        f'{memory["per_pixel_megabytes"]:,.0f} | |',
        '',
    ]
    return '\n'.join(lines)


def _similarity_table(classes: list[str], similarity: dict) -> list[str]:
    edges = similarity['edges']
    near, far = f'< {edges[1]:g}', f'> {edges[-2]:g}'
    lines = [
        f'| class | itself, {near} | itself, {far} | other, {near} | other, '
        f'{far} | told apart |',
        '| --- | --- | --- | --- | --- | --- |',
    ]
    for name, means, auroc in zip(
        classes, similarity['means'], similarity['separability']
    ):
        values = [
            means[kind][place]
            for kind in (OTHER_IMAGE, OTHER_CLASS)
            for place in (0, -1)
        ]
        cells = ' | '.join(_cell(value, 3) for value in [*values, auroc])
        lines.append(f'| {name} | {cells} |')
    return lines


def _cell(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
