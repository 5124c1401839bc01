"""Several comparisons (networks, seeds) in one file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from mmseg_ddu.fileio import require_writable_folder, write_json

from .results_file import read_results
from .results_tables import AFTER, metric_columns


def aggregate(
    folders: Sequence[str | os.PathLike],
    quality_json: str | os.PathLike,
    default: str | None = None,
) -> dict:
    """Means and standard deviations over runs of :func:`compare`.

    ``worst`` is the mean of the runs' worst shifts. The deviation is that of
    a sample (n - 1), None for a single run. A method that is missing or
    failed in a run is averaged over the others; ``runs`` says over how many.

    Args:
        folders (Sequence[str]): Each with ``results.json``.
        quality_json (str): File to write.
        default (str, optional): Name of the default score; the runs' own
            if it is not said.

    Returns:
        dict: ``protocol``, ``seeds``, ``default`` and ``methods``.

    Raises:
        FileNotFoundError: If a folder holds no results.
        ValueError: If the runs were measured in different ways, or have no
            method in common with the default.
    """
    if not folders:
        raise ValueError('Expected at least one folder to aggregate.')
    runs = [read_results(Path(folder)) for folder in folders]
    for folder, run in zip(folders, runs):
        if run['protocol'] != runs[0]['protocol']:
            raise ValueError(
                f'{folder} was measured in another way than {folders[0]}: '
                f'{_difference(run["protocol"], runs[0]["protocol"])}.'
            )
    default = default or runs[0]['default']
    names = list(dict.fromkeys(row for run in runs for row in run['methods']))
    methods = {}
    for name in names:
        entries = [run['methods'].get(name, dict(error='')) for run in runs]
        entries = [entry for entry in entries if 'error' not in entry]
        if entries:
            methods[name] = _means(entries)
    if default is not None and default not in methods:
        raise ValueError(
            f'The default {default!r} is not among {list(methods)}.'
        )
    result = dict(
        protocol=runs[0]['protocol'],
        seeds=[_seed(run, folder) for run, folder in zip(runs, folders)],
        default=default,
        methods=methods,
    )
    require_writable_folder(Path(quality_json).parent)
    write_json(quality_json, result)
    return result


def _means(entries: list[dict]) -> dict:
    figures = _spread(entries, (*metric_columns(), *AFTER))
    suites = [entry['shifts'] for entry in entries]
    shifts = _spread(suites, suites[0])
    return dict(
        runs=len(entries),
        **figures,
        shifts={name: shifts[name] for name in suites[0]},
        shifts_std={name: shifts[f'{name}_std'] for name in suites[0]},
    )


def _spread(entries: list[dict], keys: Iterable[str]) -> dict:
    """Mean and, with ``_std`` behind the name, deviation of each figure."""
    result: dict[str, float | None] = {}
    for key in keys:
        values = [entry.get(key) for entry in entries]
        found = [v for v in values if v is not None and math.isfinite(v)]
        result[key] = mean(found) if found else None
        result[f'{key}_std'] = stdev(found) if len(found) > 1 else None
    return result


def _seed(run: dict, folder: str | os.PathLike) -> int | str:
    """Training seed of a run's networks, or what its folder is called."""
    for entry in run['methods'].values():
        if entry.get('network_seed') is not None:
            return entry['network_seed']
    return Path(folder).resolve().name


def _difference(a: dict, b: dict) -> str:
    keys = [key for key in {**a, **b} if a.get(key) != b.get(key)]
    return ', '.join(f'{key} {a.get(key)} and {b.get(key)}' for key in keys)
