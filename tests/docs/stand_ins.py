"""What stands for CONFIG, CHECKPOINT and the like when a page is run.

A page is run in a folder of its own that holds links to the tools and
configs, a small data set, a config of a tiny network, its weights, fitted
weights, some images and a video. Declare a new placeholder in WORDS, and a
new file in FILES.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmseg_ddu.apis import fit_gda

from .pages import ROOT, Block

# Placeholder in a page -> file or folder that is there; longest first.
WORDS = {
    'CHECKPOINT_gda.pth': 'weights_gda.pth',
    'CHECKPOINT': 'weights.pth',
    'CONFIG': 'config.py',
    'IMAGE_OR_FOLDER': 'photos',
    'FOLDER': 'photos',
    'IMAGE': 'photo.jpg',
}
# Configs whose data and weights are not at hand.
LARGE_CONFIG = re.compile(
    r'configs/(ddu|mc_dropout)/\S+_(voc12aug|voc-animals5)-\d+x\d+\.py'
)
LINKS = ('tools', 'configs', 'docs/figures.py')
# Names that pages use for a file -> which of the prepared ones it is.
FILES = {
    'iter_40000.pth': 'weights.pth',
    'a.pth': 'weights.pth',
    'a_gda.pth': 'weights_gda.pth',
    'old.pth': 'weights.pth',
    'a.jpg': 'photo.jpg',
    'b.jpg': 'photo.jpg',
    'photos/a.jpg': 'photo.jpg',
    'photos/b.jpg': 'photo.jpg',
    'mask.png': 'photo.jpg',
    'scene.tif': 'photo.jpg',  # GDAL looks at what is inside
}
PLACEHOLDER = re.compile(r'(?<![\w$/.{-])[A-Z][A-Z_]{2,}(?![\w=])')


def filled(block: Block) -> str:
    """The text of a block of commands with stand-ins.

    Raises:
        ValueError: If a placeholder is not known.
    """
    text = LARGE_CONFIG.sub('config.py', block.text)
    for word in sorted(WORDS, key=len, reverse=True):
        text = re.sub(rf'(?<![\w$]){re.escape(word)}\b', WORDS[word], text)
    commands = re.sub(r'(^|\s)#.*', '', text)
    if unknown := sorted(set(PLACEHOLDER.findall(commands))):
        raise ValueError(
            f'{block.where}: nothing stands for {", ".join(unknown)}. Declare '
            'it in WORDS of tests/docs/stand_ins.py, or put '
            '"<!-- not run: the reason -->" in front of the block.'
        )
    return text


def prepare(
    folder: Path, cfg: Config, checkpoint: Path, sample_root: Path
) -> Path:
    """Make the folder that every page gets a copy of.

    Args:
        folder (Path): Where.
        cfg (Config): Of a tiny network, plain mmseg.
        checkpoint (Path): Its weights.
        sample_root (Path): The data that the config names.
    """
    folder.mkdir()
    for name in ('photos', 'docs/images', 'results', 'data'):
        (folder / name).mkdir(parents=True)
    for name in LINKS:
        (folder / name).symlink_to(ROOT / name)
    for name in ('sample', 'mine'):
        shutil.copytree(sample_root, folder / 'data' / name)
    cfg.work_dir = 'work_dirs/config'
    text = cfg.pretty_text.replace(str(sample_root), 'data/sample')
    (folder / 'config.py').write_text(text)
    shutil.copyfile(checkpoint, folder / 'weights.pth')
    fit_gda(cfg, checkpoint, folder / 'weights_gda.pth')
    for seed, name in enumerate(('b.pth', 'c.pth')):
        _write_other_weights(checkpoint, folder / name, seed)
    images = sorted((sample_root / 'JPEGImages').glob('test_*.jpg'))
    shutil.copyfile(images[0], folder / 'photo.jpg')
    for name, source in FILES.items():
        shutil.copyfile(folder / source, folder / name)
    _write_video(folder / 'film.mp4', images)
    return folder


def _write_other_weights(source: Path, target: Path, seed: int) -> None:
    """As if trained from another seed."""
    torch.manual_seed(seed)
    content = torch.load(source, weights_only=True)
    for value in content['state_dict'].values():
        if value.is_floating_point():
            value += 0.1 * value.std(correction=0) * torch.randn_like(value)
    torch.save(content, target)


def _write_video(path: Path, images: list[Path]) -> None:
    frames = [cv2.imread(str(image)) for image in images]
    size = frames[0].shape[1::-1]
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), codec, 5, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame))
    writer.release()
