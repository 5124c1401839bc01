"""Every config in a process of its own, the results after each."""

from __future__ import annotations

import fnmatch
import json
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import mmseg
import torch
from mmengine.config import Config

from mmseg_ddu.fileio import atomic_write

from .configs import (
    digest,
    kinds,
    read_leaf,
    runnable,
    zoo_configs,
    zoo_root,
)
from .trial import try_model

GIB = 1 << 30


def zoo_coverage(
    out: str | os.PathLike,
    *,
    root: str | os.PathLike | None = None,
    every: bool = False,
    only: str | None = None,
    timeout: float = 900,
    memory_gb: float = 14,
) -> dict:
    """Try the models of the installed mmseg; see ``__main__.py``.

    One config for each combination of method, segmentor, backbone and heads,
    or all. What an earlier, interrupted run with the same mmseg has written
    is kept. Models that are equal without their weights are tried once; the
    others' rows are short and say ``same_as``.

    Args:
        out (str): JSON file, written after each config.
        root (str, optional): Folder of configs; mmseg's own by default.
        every (bool): All configs.
        only (str, optional): Shell pattern of the names to try, again if
            need be.
        timeout (float): Seconds for one config.
        memory_gb (float): Address space for one config.

    Returns:
        dict: What is in the file.
    """
    torch.set_num_threads(1)
    out = Path(out)
    root = Path(root) if root else zoo_root()
    rows, names = _earlier(out), zoo_configs(root)
    for name, cfg in _chosen(root, names, every, only, rows):
        row = _row(name, cfg, rows, timeout, memory_gb, fresh=bool(only))
        rows[name] = row
        _write(out, summary(rows, len(names)))
        print(f'{row["status"]:12} {name} {row.get("reason", "")}', flush=True)
    return summary(rows, len(names))


def summary(rows: dict[str, dict], configs: int) -> dict:
    """The counts, and the rows in order of name.

    Args:
        rows (dict): By name of the config.
        configs (int): How many mmseg ships.
    """
    status = Counter(row['status'] for row in rows.values())
    reasons = Counter(
        row['reason'] for row in rows.values() if row['status'] == 'refused'
    )
    return dict(
        mmseg=mmseg.__version__,
        configs=configs,
        tried=len(rows),
        models=sum('same_as' not in row for row in rows.values()),
        works=status['works'],
        refused=dict(reasons.most_common()),
        error=status['error'],
        unbuildable=status['unbuildable'],
        rows=[rows[name] for name in sorted(rows)],
    )


def _write(out: Path, result: dict) -> None:
    """Write JSON with a line for each config, so that a diff names them."""
    head = json.dumps({**result, 'rows': None}, indent=2)
    rows = ',\n'.join(f'    {json.dumps(row)}' for row in result['rows'])
    text = head.replace('"rows": null', f'"rows": [\n{rows}\n  ]')
    with atomic_write(out) as temporary:
        temporary.write_text(text + '\n')


def _earlier(out: Path) -> dict[str, dict]:
    if not out.is_file():
        return {}
    content = json.loads(out.read_text())
    if content.get('mmseg') != mmseg.__version__:
        return {}
    return {row['config']: row for row in content['rows']}


def _chosen(root, names: list, every: bool, only: str | None, rows: dict):
    """Names and configs that are still to be tried."""
    if only:
        names = fnmatch.filter(names, only)
        if not names:
            raise ValueError(f'No config in {root} is named like {only!r}.')
    again = bool(only)
    seen = set() if again else {_parts(row) for row in rows.values()}
    for name in names:
        if name in rows and not again:
            continue
        cfg = read_leaf(root / name)
        if cfg.get('model') is None:
            continue
        parts = _parts(kinds(name, cfg.model))
        if every or again or parts not in seen:
            yield name, cfg
        seen.add(parts)


def _parts(row: dict) -> tuple:
    return tuple(
        row[key] for key in ('method', 'segmentor', 'backbone', 'heads')
    )


def _row(name, cfg, rows, timeout, memory_gb, fresh) -> dict:
    model, notes = runnable(cfg.model)
    parts = dict(config=name, **kinds(name, cfg.model))
    key = digest(dict(model, imports=cfg.get('custom_imports')))
    if not fresh:
        for twin in rows.values():
            if twin.get('digest') == key:
                kept = {k: twin[k] for k in ('status', 'reason') if k in twin}
                return dict(parts, **kept, same_as=twin['config'])
    row = dict(parts, **notes, digest=key)
    start = time.perf_counter()
    row.update(in_own_process(cfg, timeout, memory_gb))
    return dict(row, seconds=round(time.perf_counter() - start, 1))


def in_own_process(cfg: Config, timeout: float, memory_gb: float) -> dict:
    """Try a model in a child process, whatever happens to it.

    A child that dies or takes too long counts against mmseg if it was still
    busy with the plain model, else as our error.
    """
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(cfg, memory_gb, sender))
    process.start()
    sender.close()
    stage, end = 'plain', time.monotonic() + timeout
    reason = f'took more than {timeout:.0f} s'
    try:
        while receiver.poll(max(0.0, end - time.monotonic())):
            message = receiver.recv()
            if isinstance(message, dict):
                return message
            stage = message
    except EOFError:
        process.join()
        reason = f'the process died with exit code {process.exitcode}'
    finally:
        if process.is_alive():
            process.join(5)
        if process.is_alive():
            process.kill()
        process.join()
    status = 'unbuildable' if stage == 'plain' else 'error'
    return dict(status=status, reason=reason)


def _child(cfg: Config, memory_gb: float, sender) -> None:
    limit = int(memory_gb * GIB)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.stdout = sys.stderr = open(os.devnull, 'w')  # noqa: SIM115
    row = try_model(cfg, sender.send)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send(dict(row, peak_mib=round(peak / 1024)))
    sender.close()
    os._exit(0)
