"""Several comparisons (networks, seeds) in one file."""

from __future__ import annotations

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
    runs = _alike(folders)
    default = default or runs[0]['default']
    found: dict[str, list[dict]] = {}
    for run in runs:
        for name, entry in run['methods'].items():
            if 'error' not in entry:
                found.setdefault(name, []).append(entry)
    if default is not None and default not in found:
        raise ValueError(f'The default {default!r} is not among {[*found]}.')
    result = dict(
        protocol=runs[0]['protocol'],
        seeds=[_seed(run, folder) for run, folder in zip(runs, folders)],
        default=default,
        methods={name: _means(entries) for name, entries in found.items()},
    )
    require_writable_folder(Path(quality_json).parent)
    write_json(quality_json, result)
    return result


def _alike(folders: Sequence[str | os.PathLike]) -> list[dict]:
    """Results that were measured in the same way."""
    if not folders:
        raise ValueError('Expected at least one folder to aggregate.')
    runs = [read_results(Path(folder)) for folder in folders]
    first = runs[0]['protocol']
    for folder, run in zip(folders, runs):
        other = run['protocol']
        different = ', '.join(
            f'{key} {other.get(key)} and {first.get(key)}'
            for key in {**other, **first}
            if other.get(key) != first.get(key)
        )
        if different:
            raise ValueError(
                f'{folder} was measured in another way than {folders[0]}: '
                f'{different}.'
            )
    return runs


def _means(entries: list[dict]) -> dict:
    figures, spread = _moments(entries, [*metric_columns(), *AFTER])
    suites = [entry['shifts'] for entry in entries]
    shifts, shifts_std = _moments(suites, suites[0])
    return dict(
        runs=len(entries),
        **figures,
        **{f'{key}_std': value for key, value in spread.items()},
        shifts=shifts,
        shifts_std=shifts_std,
    )


def _moments(entries: list[dict], keys: Iterable[str]) -> tuple[dict, dict]:
    """Mean and deviation of each figure over those that have it."""
    there = {
        key: [e[key] for e in entries if e.get(key) is not None]
        for key in keys
    }
    return (
        {key: mean(v) if v else None for key, v in there.items()},
        {key: stdev(v) if len(v) > 1 else None for key, v in there.items()},
    )


def _seed(run: dict, folder: str | os.PathLike) -> int | str:
    """Training seed of a run's networks, or what its folder is called."""
    seeds = (entry.get('network_seed') for entry in run['methods'].values())
    name = Path(folder).resolve().name
    return next((seed for seed in seeds if seed is not None), name)
