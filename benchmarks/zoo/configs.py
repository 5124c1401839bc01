"""The configs that the installed mmseg ships, made runnable anywhere."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mmseg
from mmengine.config import Config

WINDOW = 64
CLASSES = 19
TRAINING = ('train_cfg', 'auxiliary_head', 'loss_decode', 'sampler')
IMAGE = (96, 128)
LARGE = (400, 416)  # for models that cannot take the small ones


def zoo_root() -> Path:
    """The folder of configs inside the installed mmseg.

    Raises:
        FileNotFoundError: If it was installed without them.
    """
    package = Path(mmseg.__file__).parent
    for root in (package / '.mim' / 'configs', package.parent / 'configs'):
        if root.is_dir():
            return root
    raise FileNotFoundError(
        f'The mmseg in {package} was installed without its configs; install '
        'it with mim or pip from a wheel, or give --root.'
    )


def zoo_configs(root: Path) -> list[str]:
    """Names of all configs below a folder, relative to it.

    Round by round one of each method, so that half a run has seen them all;
    within a method, small ResNets come first.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = sorted(root.rglob('*.py'))
    names = [path.relative_to(root) for path in found]
    leaves = [str(name) for name in names if '_base_' not in name.parts]
    if not leaves:
        raise FileNotFoundError(f'There is no config in {root}.')
    rounds: Counter = Counter()
    turns = []
    for name in sorted(leaves, key=_order):
        method = Path(name).parts[0]
        rounds[method] += 1
        turns.append((rounds[method], method, name))
    return [name for _, _, name in sorted(turns)]


def _order(name: str) -> tuple:
    depth = re.search(r'[_-][rs](\d+)', name)
    return int(depth[1]) if depth else 0, name


def read_leaf(path: Path) -> Config:
    """A config without importing what its ``custom_imports`` name."""
    return Config.fromfile(path, import_custom_modules=False)


def kinds(name: str, model: dict) -> dict[str, str]:
    """What a model is made of: method folder and the types of its parts."""
    encoder = model.get('backbone') or model.get('image_encoder') or {}
    return dict(
        method=Path(name).parts[0],
        segmentor=str(model.get('type')),
        backbone=str(encoder.get('type')),
        heads='+'.join(str(h.get('type')) for h in heads_of(model)),
    )


def heads_of(model: dict) -> list[dict]:
    """Configs of the decode heads."""
    head = model.get('decode_head') or {}
    return list(head) if isinstance(head, (list, tuple)) else [head]


def runnable(model: dict) -> tuple[dict, dict]:
    """A model config without weights, for small images on a CPU.

    Pretrained weights are left out, ``SyncBN`` becomes ``BN``. The test mode
    stays; windows of ``slide`` larger than 64 x 64 become 64 x 64 with a
    stride of 48, and the fixed input size of a transformer follows.

    More than 19 classes become 19: the cost of a density is proportional to
    them, and models for several data sets become one.

    Returns:
        tuple[dict, dict]: The config, and what was done: ``classes``,
        ``classes_in_config``, ``mode``, ``window``, ``window_in_config``.
    """
    classes = _classes(model)
    model = _strip(copy.deepcopy(_plain(model)))
    if model.get('type') != 'MultimodalEncoderDecoder':  # a fixed vocabulary
        _cap_classes(model)
    if 'text_encoder' in model:  # one sentence a class instead of dozens
        model['text_encoder']['templates'] = ['a photo of a {}.']
    test = model.get('test_cfg') or {}
    mode = test.get('mode', 'whole')
    notes = dict(
        classes=_classes(model),
        classes_in_config=classes,
        mode=mode,
        window=None,
        window_in_config=None,
    )
    if mode != 'slide':
        return model, notes
    crop = list(test['crop_size'])
    notes['window_in_config'] = crop
    if max(crop) > WINDOW:
        crop = [WINDOW, WINDOW]
        test.update(crop_size=crop, stride=[48, 48])
        backbone = model.get('backbone') or {}
        if 'img_size' in backbone:
            backbone['img_size'] = crop
    notes['window'] = crop
    return model, notes


def digest(model: dict) -> str:
    """Models of one digest predict in the same way."""
    text = json.dumps(_without_training(model), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _classes(model: dict) -> int | None:
    head = heads_of(model)[-1]
    return (head.get('kernel_generate_head') or head).get('num_classes')


def _cap_classes(value: Any) -> None:
    """Nowhere more than 19 classes, and no weights of single classes."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _cap_classes(item)
    if not isinstance(value, dict):
        return
    if isinstance(value.get('num_classes'), int):
        value['num_classes'] = min(value['num_classes'], CLASSES)
    if 'class_weight' in value:
        value['class_weight'] = None
    for item in value.values():
        _cap_classes(item)


def _strip(value: Any) -> Any:
    if isinstance(value, list):
        return [_strip(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _strip(item) for key, item in value.items()}
    kept.pop('pretrained', None)
    if _is_pretrained(kept.get('init_cfg')):
        del kept['init_cfg']
    if kept.get('type') in ('SyncBN', 'MMSyncBN'):
        kept['type'] = 'BN'
    return kept


def _without_training(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_without_training(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_training(item)
        for key, item in value.items()
        if key not in TRAINING
    }


def _is_pretrained(init: Any) -> bool:
    items: Iterable = init if isinstance(init, list) else [init]
    return any(
        isinstance(item, dict) and item.get('type') == 'Pretrained'
        for item in items
    )


def _plain(value: Any) -> Any:
    """ConfigDicts as dicts; tuples stay tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value
