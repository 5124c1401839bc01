"""Packaging. torch and mm* are not pinned: see the README for the stacks."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')


def fill_mim(target, link=False):
    """Copy what OpenMIM looks for to a folder ``.mim``, or link to it."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in MIM_CONTENT:
        source = ROOT / name
        if link:
            try:
                os.symlink(os.path.relpath(source, target), target / name)
                continue
            except OSError:  # Windows without the right to link
                pass
        if source.is_file():
            shutil.copy(source, target)
            continue
        ignore = shutil.ignore_patterns('__pycache__')
        shutil.copytree(source, target / name, ignore=ignore)


class BuildWithMim(build_py):
    """Put configs, tools and model index where OpenMIM looks.

    That is ``mmseg_ddu/.mim``. A wheel gets copies; an editable install gets
    links, so that edits show.
    """

    def run(self):
        super().run()
        editable = getattr(self, 'editable_mode', False)
        base = ROOT if editable else Path(self.build_lib)
        fill_mim(base / 'mmseg_ddu' / '.mim', link=editable)


class WheelWithMim(bdist_wheel):
    """Put them into a folder ``+mmseg_ddu`` of a wheel, too.

    onedl-mim 0.5 takes the folder of the first installed file for that of
    the package. pip sorts the files, and ``../../../bin/mmseg-ddu`` comes
    before ``mmseg_ddu/``; a plus sign comes before both.
    """

    def write_wheelfile(self, wheelfile_base, *args, **kwargs):
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        if 'editable_wheel' not in self.distribution.commands:
            fill_mim(Path(wheelfile_base).parent / '+mmseg_ddu' / '.mim')


version = re.search(
    r"__version__ = '(.+)'", (ROOT / 'mmseg_ddu' / 'version.py').read_text()
).group(1)
setup(
    name='mmseg_ddu',
    version=version,
    description='Deep Deterministic Uncertainty for mmsegmentation',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmseg_ddu', 'mmseg_ddu.*']),
    package_data={
        'mmseg_ddu.apis.html_report': ['parts/*'],
        'mmseg_ddu.apis.model_check': ['card_parts/*'],
    },
    entry_points=dict(console_scripts=['mmseg-ddu = mmseg_ddu.__main__:main']),
    cmdclass=dict(build_py=BuildWithMim, bdist_wheel=WheelWithMim),
    install_requires=[
        'numpy',
        'opencv-python',
        'filelock',
        'jinja2',
        'matplotlib',
        'Pillow',
        'prettytable',
        'rich',
    ],
    # Both stacks have the same import names, and pip cannot say "A or B".
    extras_require={
        'onedl': [
            'onedl-mmengine>=0.10.12,<0.11',
            'onedl-mmcv>=2.3.6,<3',
            'onedl-mmsegmentation>=1.4.2,<2',
        ],
        'openmmlab': [
            'mmengine>=0.10.4,<1.0',
            'mmcv>=2.0.0rc4,<2.2.0',
            'mmsegmentation>=1.2.2,<2',
            'ftfy',
            'regex',
        ],
        'onnx': ['onnx', 'onnxruntime', 'onnxscript'],
        'geo': ['rasterio'],
        # What is only tried by tests where it is installed.
        'integrations': [
            'datumaro>=1.13,<2',
            'label-studio-sdk>=2.1,<3',
            'fiftyone>=1.22,<2',
            'wandb>=0.31',
            'mlflow>=3.17,<4',
        ],
        'tests': [
            'rasterio',
            'pytest',
            'pytest-xdist',
            'psutil',
            'hypothesis',
            'scikit-learn>=1.3',
            'scipy',
            'tensorboard',
            'ruff==0.17.6',
            'mypy==2.4.1',
            'build',
            'selenium',
            'nbclient',
            'nbformat',
            'ipykernel',
            'onedl-mim>=0.5.1,<0.6',
        ],
    },
)
