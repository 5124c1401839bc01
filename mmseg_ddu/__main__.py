"""``mmseg-ddu fit CONFIG CHECKPOINT``: every tool under one name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from mmseg_ddu.import_errors import print_last

PROGRAM = 'mmseg-ddu'
# What it is called, the tool, and what one wants of it.
COMMANDS = {
    'demo': ('demo', 'see everything on a small drawn data set, in minutes'),
    'fit': ('fit_gda', 'add uncertainty to a trained network'),
    'check': ('check_model', 'hear what the maps are worth on your images'),
    'test': ('test', 'print mIoU and how good each map is, in words'),
    'export': ('export_uncertainty', 'write the maps of images to files'),
    'raster': ('export_raster', 'the same for large geo-referenced rasters'),
    'report': ('report', 'make one HTML page of an export'),
    'abstain': ('fit_abstention', 'refuse unsure pixels, with a promise'),
    'rank': ('rank_images', 'list the images to look at or label next'),
    'monitor': ('monitor', 'say when new images are no longer ordinary'),
    'distances': ('check_distances', 'see what the features cannot see'),
    'compare': ('compare_uncertainty', 'compare with MC dropout, ensembles'),
    'onnx': ('export_onnx', 'write network and maps as one ONNX file'),
    'train': ('train', 'train as mmseg does, and fit at the end'),
    'sample': ('make_sample', 'draw the small data set'),
}


def main() -> None:
    """Run the tool that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print_last(f'{overview()}\n')
        return
    if name not in COMMANDS:
        print(f'{overview()}\n\nThere is no {name!r}.', file=sys.stderr)
        sys.exit(2)
    from mmseg_ddu.apis import cli  # which takes seconds

    sys.argv = [f'{PROGRAM} {name}', *sys.argv[2:]]
    cli.run(lambda: _load(COMMANDS[name][0]).main())


def _load(tool: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        tool, tools_folder() / f'{tool}.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def overview() -> str:
    """What there is, from what a person wants to do."""
    lines = [f'  {name:10}{wish}' for name, (_, wish) in COMMANDS.items()]
    commands = '\n'.join(lines)
    return f"""\
usage: {PROGRAM} COMMAND …

Per-pixel uncertainty for an mmsegmentation model.

{commands}

{PROGRAM} COMMAND --help says more. For a model of your own:

  {PROGRAM} fit CONFIG CHECKPOINT
  {PROGRAM} test CONFIG CHECKPOINT_gda.pth
  {PROGRAM} export CONFIG CHECKPOINT_gda.pth IMAGES --out-dir maps"""


def tools_folder() -> Path:
    """Where the tools are: in the package, or beside it in a checkout.

    Beside an installed package, ``tools`` may be anybody's.
    """
    package = Path(__file__).resolve().parent
    files = [f'{tool}.py' for tool, _ in COMMANDS.values()]
    for folder in (package / '.mim' / 'tools', package.parent / 'tools'):
        if all((folder / file).is_file() for file in files):
            return folder
    raise FileNotFoundError(
        f'{package} has no tools; install mmseg_ddu with pip.'
    )


if __name__ == '__main__':
    main()
