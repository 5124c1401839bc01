"""results.json, the tables and the pictures of a comparison."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, master_only

from mmseg_ddu.apis.json_form import has_form, is_number, is_text
from mmseg_ddu.engine.checkpoint import plain
from mmseg_ddu.engine.fit_report import versions
from mmseg_ddu.fileio import read_json, write_json

from .curves import draw_curves
from .results_tables import write_tables

RESULTS = 'results.json'
FOLDER = 'unfinished'  # what was counted of the methods to come
FORMAT = 2  # of the entries; the first had other rows


class ResultsFile:
    """Results as they come; on disk after each group of methods.

    ``protocol`` is what the numbers depend on beside the networks, and
    ``rows`` has the order of the table.

    Raises:
        FileExistsError: If there are results of another protocol.
    """

    def __init__(
        self,
        out_dir: Path,
        protocol: dict,
        default: str | None,
        rows: list[str],
        overwrite: bool,
    ) -> None:
        self.out_dir, self.rows = out_dir, rows
        self.earlier: dict[str, dict] = {}
        protocol = strict(protocol)
        if overwrite:
            shutil.rmtree(out_dir / FOLDER, ignore_errors=True)
        elif (out_dir / RESULTS).is_file():
            content = read_results(out_dir)
            if content['protocol'] != protocol:
                raise FileExistsError(
                    f'{out_dir / RESULTS} was measured with other settings. '
                    'Choose another folder, or overwrite it (--overwrite).'
                )
            self.earlier = content['methods']
        cuda = torch.cuda.is_available()
        self.content: dict[str, Any] = dict(
            protocol=protocol,
            default=default,
            complete=False,
            versions=versions(),
            machine=dict(
                processor=platform.processor() or platform.machine(),
                threads=torch.get_num_threads(),
                processes=get_world_size(),
                cuda=torch.cuda.get_device_name() if cuda else None,
            ),
            methods={},
        )

    def has(self, rows: Iterable[str], checkpoints: list) -> bool:
        """Take over rows that an earlier run has finished."""
        found = {row: self.earlier.get(row, dict(error='')) for row in rows}
        for entry in found.values():
            if 'error' in entry or entry['checkpoints'] != checkpoints:
                return False
        self.add(found)
        return True

    def add(self, entries: dict[str, dict]) -> None:
        """Finished rows, or ones with their error; not yet on disk."""
        methods = {**self.content['methods'], **strict(entries)}
        self.content['methods'] = {
            name: methods[name] for name in self.rows if name in methods
        }
        self.content['complete'] = set(methods) == set(self.rows)

    @master_only
    def write(self, pictures: bool = False) -> None:
        """Write what there is, each file whole or not at all."""
        if self.content['methods']:
            write_json(self.out_dir / RESULTS, self.content)
            write_tables(self.content, self.out_dir)
            if pictures:
                draw_curves(self.content['methods'], self.out_dir)
        if self.content['complete']:
            shutil.rmtree(self.out_dir / FOLDER, ignore_errors=True)


def read_results(folder: Path) -> dict:
    """Results of a comparison.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If the file is not of this kind.
    """
    path = Path(folder) / RESULTS
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no {path}; run tools/compare_uncertainty.py first.'
        )
    wrong = f'{path} holds no results of a comparison.'
    return read_json(path, _is_results, wrong)


def _is_results(content: Any) -> bool:
    images = dict(plain=is_number)
    protocol = dict(config=is_text, stride=is_number, images=images)
    return has_form(content, dict(protocol=protocol, methods={})) and all(
        has_form(row, dict(error=is_text)) or has_form(row, dict(shifts={}))
        for row in content['methods'].values()
    )


def strict(value: Any) -> Any:
    """NaN and infinity as null, which JSON has not; six digits of others."""
    return json.loads(
        json.dumps(plain(value)),
        parse_float=lambda text: float(f'{float(text):.6g}'),
        parse_constant=lambda _: None,
    )
