"""compare(): every method on the same pixels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_ddu.core.errors import require
from mmseg_ddu.core.metrics import METRIC
from mmseg_ddu.engine.build import read_config, require_settings
from mmseg_ddu.engine.checkpoint import digest
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.engine.ranks import on_main
from mmseg_ddu.fileio import require_writable_folder

from .image_pools import PLAIN, build_pools
from .method_names import DDU, Method, parse_methods
from .method_runs import Measurement, hashes
from .predictors import group_methods
from .results_file import FOLDER, FORMAT, ResultsFile


def compare(
    config: str | os.PathLike | Config,
    methods: Sequence[str],
    out_dir: str | os.PathLike,
    *,
    shifts: Sequence[str] | None = None,
    domains: Mapping[str, str] | None = None,
    max_images: int | None = None,
    shift_images: int | None = 80,
    stride: int = 4,
    patch: int = 4,
    seed: int = 0,
    timing_images: int = 10,
    device: str | None = None,
    default: str | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    save_every: float = 120,
    cfg_options: dict | None = None,
) -> dict:
    """Measure methods on the test images of a config, and on shifted ones.

    Writes ``results.json``, ``table.md``, ``table.csv`` and the curves (PNG
    and PDF) into ``out_dir``. The results are written after each
    group of methods. A run that was stopped goes on where it was when it is
    started again with the same settings: what was counted is saved every few
    minutes, and on Ctrl-C and SIGTERM.

    All methods see the same images in the same order and are measured on the
    same pixels. Methods of one checkpoint share the forward pass; time and
    memory are measured for each alone. A method that fails has its error in
    the table; the others go on.

    Under ``torch.distributed`` the ranks share the images, and the figures
    are those of one process; time and memory are measured on rank 0 alone,
    while the others wait. Every rank has to call this and gets the same.

    Args:
        config (str or Config): The config the networks were trained with.
        methods (Sequence[str]): ``NAME=CHECKPOINT[,CHECKPOINT…]``, see
            ``tools/compare_uncertainty.py --help``.
        out_dir (str): Created if need be.
        shifts (Sequence[str], optional): Keys of
            ``mmseg_ddu.datasets.SHIFTS``; None is all, ``['none']`` none.
        domains (Mapping[str, str], optional): Name to a folder of images of
            another domain, all of whose pixels count as shifted.
        max_images (int, optional): A seeded choice of the test images.
        shift_images (int, optional): Most images for each shift.
        stride (int): Measure every n-th pixel in both directions.
        patch (int): Side of the PAvPU windows, in such pixels.
        seed (int): Of all choices, the shifts and dropout.
        timing_images (int): Images that time and memory are measured on.
        device (str, optional): ``cuda`` if there is one, else ``cpu``.
        default (str, optional): Row that is the package's default score.
        overwrite (bool): Forget earlier results in ``out_dir``.
        pictures (bool): Draw the curves.
        save_every (float): Seconds between savings of what is unfinished.
        cfg_options (dict, optional): Overrides settings of the config.

    Returns:
        dict: What is in ``results.json``.

    Raises:
        ValueError: If a method, a shift or a setting makes no sense.
        FileExistsError: If ``out_dir`` holds results of other settings.
    """
    parsed = parse_methods(methods)
    rows = [row for method in parsed for row in method.rows]
    if default is None:
        totals = (f'{m.name}-total' for m in parsed if m.kind == DDU)
        default = next(totals, None)
    elif default not in rows:
        raise ValueError(f'Expected default to be one of {rows}: {default!r}')
    require(stride >= 1, 'stride >= 1', stride)
    require(patch >= 1, 'patch >= 1', patch)
    cfg = read_config(config, cfg_options)
    require_settings(cfg, 'test_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    out_dir = Path(out_dir)
    on_main(require_writable_folder, out_dir)
    limits = max_images, shift_images
    pools = build_pools(cfg, shifts, domains or {}, *limits, seed)
    # What the numbers depend on beside the networks.
    protocol = dict(
        format=FORMAT,
        config=Path(cfg.filename or 'config').name,
        classes=list(pools[PLAIN].metainfo.get('classes') or []),
        images={name: len(pool) for name, pool in pools.items()},
        stride=stride,
        patch=patch,
        seed=seed,
        near_labels=list(cfg.get('held_out_labels') or []),
    )
    measurement = Measurement(
        cfg, pools, protocol, timing_images, device, save_every
    )

    def begin() -> tuple[ResultsFile, list[list[Method]]]:
        results = ResultsFile(out_dir, protocol, default, rows, overwrite)
        todo = [m for m in parsed if not results.has(m.rows, hashes(m))]
        return results, group_methods(todo)

    state = [protocol, cfg.to_dict(), domains, device, versions()]
    results, todo = on_main(begin)
    try:
        for group in todo:
            files = {method.name: hashes(method) for method in group}
            unfinished = digest([state, sorted(METRIC), files])
            unfinished = out_dir / FOLDER / unfinished
            results.add(measurement.run(group, unfinished))
            results.write()
            on_main(shutil.rmtree, unfinished, True)
    finally:
        results.write(pictures)
    return results.content
