"""Which steps of a pipeline make the labels, and which the image."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import takewhile

import numpy as np
from mmengine.logging import MMLogger
from mmengine.registry import TRANSFORMS

from mmseg_ddu.registry import bare_type

LIBRARIES = ('mmcv.transforms.', 'mmseg.datasets.', 'mmdet.datasets.')
TRIALS = 4
NEVER_UNDONE = (  # steps of mmcv and mmseg after which pixels lie elsewhere
    *('Pad', 'CenterCrop', 'RandomCrop', 'RandomRotate', 'RandomRotFlip'),
    *('RandomMosaic', 'Albu'),
)


def loads_annotations(step: dict) -> bool:
    """Whether a pipeline step loads labels, by its name."""
    kind = bare_type(step)
    return kind.startswith('Load') and 'Annotation' in kind


def packs(step: dict) -> bool:
    """Whether a pipeline step hands over to the network, by its name."""
    return bare_type(step).startswith('Pack')


def require_metainfo(steps: Sequence[dict]) -> None:
    """Refuse a pipeline whose maps could not be brought back to the image.

    mmseg takes from the metainfo what to undo; without it a prediction
    stays mirrored, or at another size. A step that mmseg does not undo at
    all is a warning.

    Raises:
        ValueError: If ``meta_keys`` of the packing step leave out something
            that another step makes necessary.
    """
    needed: dict[str, str] = {}
    for step in every_step(steps):
        kind = bare_type(step)
        if kind in NEVER_UNDONE:
            warn_of_what_stays(kind)
        if not packs(step):
            if not kind.startswith('Load'):
                needed.update(dict.fromkeys(('ori_shape', 'img_shape'), kind))
            if 'Flip' in kind:
                needed.update(dict.fromkeys(('flip', 'flip_direction'), kind))
        elif step.get('meta_keys') is not None:
            missing = [key for key in needed if key not in step['meta_keys']]
            if missing:
                raise ValueError(
                    f'Expected meta_keys of {kind} to have {missing}, which '
                    f'undo {needed[missing[-1]]} of the test pipeline, but '
                    f'got {list(step["meta_keys"])}. Add them, or leave out '
                    'meta_keys.'
                )


@cache
def warn_of_what_stays(kind: str) -> None:
    """Once a process."""
    MMLogger.get_current_instance().warning(
        f'{kind} in the test pipeline is not undone by mmseg: maps are '
        'stretched to the size of the image, where pixels lie in other '
        'places. Take it out; images of any size are predicted as they are.'
    )


def every_step(steps: Iterable) -> Iterator[dict]:
    """The steps of a pipeline, and those inside of them, in order."""
    for step in steps:
        if isinstance(step, (list, tuple)):
            yield from every_step(step)
        else:
            yield step
            yield from every_step(step.get('transforms') or ())


# Steps of mmcv and mmseg are known: they load, or they augment. Others are
# tried on a few images of the data set.


def label_steps(
    training: Sequence[dict],
    test: Sequence[dict],
    infos: Sequence[dict],
    num_classes: int,
) -> list[dict]:
    """The steps of training that load images and load and change labels.

    Args:
        training, test (Sequence[dict]): Pipelines.
        infos (Sequence[dict]): What the data set gives to its pipeline, for
            the images to try steps on.
        num_classes (int): Of the data set.

    Raises:
        ValueError: If a step does it together with an augmentation, or at
            random.
    """

    def makes_labels(step: dict) -> bool:
        transform = TRANSFORMS.build(step)
        if hasattr(transform, 'get_indices'):  # mixes several images
            return False
        if _is_known(transform):
            return '.loading' in type(transform).__module__
        trials = list(_trials(transform, _after(kept, infos)))
        if not all('img' in old for old, _ in trials):
            return True
        if not any(_changes(old, new, 'img') for old, new in trials):
            if any(_changes(new[0], new, 'gt_seg_map') for _, new in trials):
                raise ValueError(_refusal(step, 'labels at random'))
            return True
        made = any('gt_seg_map' in each for _, new in trials for each in new)
        if step in test or not made:
            return False
        if not any('gt_seg_map' in old for old, _ in trials):  # loads both
            return True
        if not _only_moves(transform, trials[0], num_classes):
            raise ValueError(_refusal(step, 'image and labels together'))
        return False

    kept: list[dict] = []
    for step in takewhile(lambda step: not packs(step), training):
        if makes_labels(step):
            kept.append(step)
    return kept


def _only_moves(transform: Callable, trial: tuple, num_classes: int) -> bool:
    """Whether labels keep their values, except where void fills up.

    Void is filled up by a step that is random or changes the size.
    """
    state, outcomes = trial
    fills = any(
        not _same(outcomes[0], new, 'img')
        or new['img'].shape != state['img'].shape
        for new in outcomes
    )
    others: set[int] = set()
    present = np.unique(state['gt_seg_map']).tolist()
    for value in {*range(num_classes), *present}:
        plain = np.full_like(state['gt_seg_map'], value)
        found = {
            label
            for _, outcomes in _trials(
                transform, [dict(state, gt_seg_map=plain)]
            )
            for new in outcomes
            for label in np.unique(new['gt_seg_map']).tolist()
        }
        if value not in found:  # or it cannot be tried on one class alone
            return False
        others |= found - {value}
    return len(others) <= fills


def image_steps(
    test: Sequence[dict], labels: Sequence[dict], infos: Sequence[dict]
) -> list[dict]:
    """The steps of a test that make the image and pack it.

    Args:
        test (Sequence[dict]): Pipeline.
        labels (Sequence[dict]): What :func:`label_steps` gave.
        infos (Sequence[dict]): As there.
    """

    def makes_image(step: dict) -> bool:
        if packs(step) or loads_annotations(step):
            return packs(step)
        transform = TRANSFORMS.build(step)
        if _is_known(transform):
            return True
        if not all('img' in state for state in _after(kept, infos)):
            return True
        trials = list(_trials(transform, _after(labels, infos)))
        if any(_changes(old, new, 'img') for old, new in trials):
            return True
        if step in labels:
            return False
        relabels = any(_changes(old, new, 'gt_seg_map') for old, new in trials)
        return not relabels and any(
            set(each) - set(old) for old, new in trials for each in new
        )

    kept: list[dict] = []
    for step in test:
        if makes_image(step):
            kept.append(step)
    return kept


def _is_known(transform: Callable) -> bool:
    """Wrappers of mmcv are not: what is inside may be anything."""
    module = type(transform).__module__
    return module.startswith(LIBRARIES) and not module.endswith('wrappers')


def _after(steps: Sequence[dict], infos: Sequence[dict]) -> list[dict]:
    """The samples behind some steps; those that cannot be read are absent."""
    transforms = [TRANSFORMS.build(step) for step in steps]
    states = []
    for info in infos:
        state = copy.deepcopy(info)
        try:
            for transform in transforms:
                state = transform(state)
        except Exception:  # the fit will say so
            continue
        states.append(state)
    return states


def _trials(
    transform: Callable, states: Sequence[dict]
) -> Iterator[tuple[dict, list[dict]]]:
    """Each sample, and what the step makes of it several times."""
    for state in states:
        # The same random numbers on all ranks; the program's stay.
        before = random.getstate(), np.random.get_state()
        random.seed(0)
        np.random.seed(0)
        try:
            outcomes = [transform(copy.deepcopy(state)) for _ in range(TRIALS)]
        except Exception:  # the fit will say so
            continue
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
        if None not in outcomes:
            yield state, outcomes


def _changes(old: dict, new: list[dict], key: str) -> bool:
    return not all(_same(old, each, key) for each in new)


def _same(first: dict, second: dict, key: str) -> bool:
    if key not in first or key not in second:
        return (key in first) == (key in second)
    return np.array_equal(first[key], second[key])


def _refusal(step: dict, what: str) -> str:
    return (
        f'The step {bare_type(step)} of the training pipeline changes {what}, '
        'so the labels that training saw cannot be told from an augmentation. '
        'Put what changes labels into a step of its own, without random '
        'numbers, behind the one that loads them; or, if predictions need the '
        'step too, put it into the test pipeline as well.'
    )
