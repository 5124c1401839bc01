"""Install the package beside chosen versions and run a quick part of tests.

Every combination of Python, torch and mm stack gets a virtual environment of
its own, which is deleted afterwards. Results of earlier runs are kept, so the
table can be filled one combination at a time. `official` is mmengine, mmcv
and mmseg of OpenMMLab without compiled ops, `onedl` the maintained fork.

A torch from PyPI comes with CUDA libraries: several GB for each environment.

example:
  python -m benchmarks.compatibility --pythons python3.11 python3.12
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from datetime import date
from pathlib import Path

from rich.progress import track

from mmseg_ddu.fileio import atomic_write, write_json

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = '2.6.0', '2.13.0'
STACKS = {
    'onedl': [
        'onedl-mmengine==0.10.12',
        'onedl-mmcv==2.3.6',
        'onedl-mmsegmentation==1.4.2',
    ],
    # mmcv-lite has the files of mmcv without ops, as a wheel.
    'official': [
        'mmengine==0.10.7',
        'mmcv-lite==2.1.0',
        'mmsegmentation==1.2.2',
        'ftfy',
        'regex',
    ],
}
TEST_TOOLS = ['pytest', 'hypothesis', 'scikit-learn', 'scipy', 'tensorboard']
QUICK = [
    'tests/core/test_covariance.py',
    'tests/core/test_gaussian_density.py',
    'tests/core/test_imports.py',
    'tests/core/test_moments.py',
    'tests/core/metrics/test_ranking_counts.py',
    'tests/models/test_gda_head.py',
    'tests/models/test_properties.py',
    'tests/engine/test_safe_load.py',
    'tests/engine/test_hook.py',
]
VERSIONS = """
import json, platform
import mmseg_ddu.mmcv_without_ops as ops
ops.allow_missing_mmcv_ops()
import mmcv, mmengine, mmseg, numpy, torch
found = {m.__name__: m.__version__ for m in (mmcv, mmengine, mmseg, numpy)}
found.update(python=platform.python_version(), torch=str(torch.__version__))
print(json.dumps(found))
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = [f'python3.{minor}' for minor in (10, 11, 12)]
    found = [name for name in names if shutil.which(name)]
    add('--pythons', nargs='+', default=found, help='interpreters')
    add('--torch', nargs='+', default=[OLDEST, NEWEST], help='versions')
    add('--stacks', nargs='+', default=list(STACKS), choices=STACKS)
    add('--json', type=Path, default=ROOT / 'results/compatibility.json')
    add('--doc', type=Path, default=ROOT / 'docs/compatibility.md')
    return parser.parse_args()


def check(interpreter: str, torch: str, stack: str, folder: Path) -> dict:
    """One combination: install, import, test.

    Returns:
        dict: ``versions``, ``tests`` (counts), ``seconds`` of both steps;
        ``error`` instead of what could not be done.
    """
    python = str(folder / 'venv/bin/python')
    packages = [f'torch=={torch}', *STACKS[stack], str(ROOT), *TEST_TOOLS]
    row: dict = dict(stack=stack, torch=torch, date=str(date.today()))
    start = time.perf_counter()
    try:
        call(interpreter, '-m', 'venv', str(folder / 'venv'))
        call(python, '-m', 'pip', 'install', '-q', '-U', 'pip', 'wheel')
        call(python, '-m', 'pip', 'install', '-q', *packages)
        row['install_seconds'] = round(time.perf_counter() - start)
        row['versions'] = json.loads(call(python, '-c', VERSIONS))
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines()
        return dict(row, error='\n'.join(lines[-3:]))
    return dict(row, **run_tests(python, folder / 'junit.xml'))


def run_tests(python: str, report: Path) -> dict:
    """Counts of the quick part, and the names of what failed."""
    quick = [str(ROOT / path) for path in QUICK]
    start = time.perf_counter()
    options = ['-q', '-p', 'no:cacheprovider', f'--junitxml={report}']
    done = subprocess.run(
        [python, '-m', 'pytest', *options, *quick],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    if not report.is_file():
        return dict(error='\n'.join(done.stdout.splitlines()[-3:]))
    suite = ElementTree.parse(report).getroot()[0]
    total, failed, errors, skipped = (
        int(suite.get(key, 0))
        for key in ('tests', 'failures', 'errors', 'skipped')
    )
    bad = [
        f'{case.get("classname")}::{case.get("name")}'
        for case in suite.iter('testcase')
        if case.find('failure') is not None or case.find('error') is not None
    ]
    return dict(
        tests=dict(
            passed=total - failed - errors - skipped,
            failed=failed + errors,
            skipped=skipped,
        ),
        failed=bad,
        test_seconds=round(time.perf_counter() - start),
    )


def call(*command: str) -> str:
    """Standard output of a command.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    return subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    ).stdout


def write_doc(path: Path, rows: dict[str, dict]) -> None:
    """The table in Markdown."""
    lines = [
        '# Compatibility',
        '',
        'Each row is a fresh virtual environment with the versions named, in '
        'which a quick',
        'part of the tests ran on a CPU: the mathematics, the density head, '
        'safe loading,',
        'training with the hook, and resuming. `official` is OpenMMLab '
        'without',
        'compiled ops, `onedl` the maintained fork. Written by',
        '`python -m benchmarks.compatibility`; details are in '
        '`results/compatibility.json`.',
        '',
        f'torch {OLDEST} is the oldest supported: earlier ones can run code '
        'from a checkpoint',
        'even with `weights_only=True`; see [security](security.md).',
        '',
        '| Python | torch | stack | mmengine | mmcv | mmseg | numpy | passed '
        '| failed | skipped |',
        '| --- | --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |',
    ]
    for key, row in sorted(rows.items()):
        found = row.get('versions', {})
        python = found.get('python', key.split()[0])
        cells = [python, found.get('torch', row['torch']), row['stack']]
        names = ('mmengine', 'mmcv', 'mmseg', 'numpy')
        cells += [found.get(name, '-') for name in names]
        counts = row.get('tests', {})
        names = ('passed', 'failed', 'skipped')
        cells += [str(counts.get(name, '-')) for name in names]
        lines.append(f'| {" | ".join(cells)} |')
    for key, row in sorted(rows.items()):
        if 'error' in row:
            reason = ' '.join(row['error'].split())
            lines += ['', f'{key} could not be tested: {reason}']
        for name in row.get('failed', []):
            lines += ['', f'{key} failed `{name}`.']
    with atomic_write(path) as temporary:
        temporary.write_text('\n'.join(lines) + '\n')


def main() -> int:
    args = parse_args()
    rows = {}
    if args.json.is_file():
        rows = json.loads(args.json.read_text())
    jobs = [
        (python, torch, stack)
        for python in args.pythons
        for torch in args.torch
        for stack in args.stacks
    ]
    for python, torch, stack in track(jobs, 'Combinations'):
        code = 'import platform; print(platform.python_version())'
        key = f'{call(python, "-c", code).strip()} torch {torch} {stack}'
        with tempfile.TemporaryDirectory() as folder:
            rows[key] = check(python, torch, stack, Path(folder))
        print(key, rows[key].get('tests') or rows[key]['error'])
        write_json(args.json, rows)
        write_doc(args.doc, rows)
    return int(
        any(row.get('failed') or 'error' in row for row in rows.values())
    )


if __name__ == '__main__':
    print(f'on {platform.platform()}')
    sys.exit(main())
