"""Random and damaged files and configs: documented errors, no code run.

``FUZZ_EXAMPLES=20000 pytest tests/engine/test_fuzz.py`` is the long run.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from contextlib import contextmanager

import pytest
import torch
from mmengine.config import Config

from mmseg_ddu.apis.compare.method_names import parse_methods
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.engine.build import model_of_checkpoint, read_config
from mmseg_ddu.engine.checkpoint import (
    load_weights,
    read_checkpoint,
    weights_digest,
)
from mmseg_ddu.engine.fit_meta import fitted_heads
from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.models import GDAHead
from mmseg_ddu.models.convert import to_ddu_model
from mmseg_ddu.models.gda_head import FORMAT
from tests import hostile
from tests.engine.pixel_network import drawn_image, fit_all, pixel_network

hypothesis = pytest.importorskip('hypothesis')
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

OPTIONS = [
    *('preset', 'tap', 'transform', 'density', 'stride', 'shrinkage', 'rank'),
    *('covariance_type', 'components', 'reg_covar', 'priors', 'channels'),
]
pytestmark = pytest.mark.filterwarnings('ignore')
DOCUMENTED = (ValueError, TypeError, OSError, NotFittedError)
# What Python itself reports when code is found by pickle, or run.
SIGNS = {
    'pickle.find_class',
    'exec',
    'compile',
    *(f'os.{name}' for name in ('system', 'exec', 'fork', 'posix_spawn')),
    'subprocess.Popen',
    'socket.connect',
}
watching: list[list] = []
fuzz = settings(
    max_examples=int(os.environ.get('FUZZ_EXAMPLES', 30)),
    deadline=None,
    database=None,
    derandomize='FUZZ_EXAMPLES' not in os.environ,
)


def _audit(event: str, arguments: tuple) -> None:
    lazy = event in ('exec', 'compile') and '<string>' not in str(arguments)
    if watching and event in SIGNS and not lazy:  # an import of Python's own
        watching[-1].append((event, str(arguments)[:200]))


repr(torch.zeros(1))  # has torch import what it imports late
sys.addaudithook(_audit)


@contextmanager
def harmless():
    """Nothing but documented errors, and no sign of code that runs."""
    watching.append([])
    try:
        yield
    except DOCUMENTED:
        pass
    finally:
        seen = watching.pop()
    assert not seen


def test_the_watch_sees_a_pickle():
    """So the others can fail."""
    for evil in (hostile.shell('x'), hostile.Call(eval, '1 + 1')):
        with pytest.raises(AssertionError), harmless():
            torch.load(io.BytesIO(saved(evil)), weights_only=False)
    if os.path.exists('x'):
        os.remove('x')


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(10**6, 10**12),
    st.floats(),
    st.text(max_size=6),
    st.binary(max_size=4),
    st.sampled_from(
        ['oas', 'full', 'raw', 'direction', 'ddu-paper', 'torch.hub.load']
    ),
)
words = st.sampled_from(
    [*OPTIONS, 'type', 'init_cfg', 'head', 'format', 'gda', 'meta']
    + ['extra_heads', 'test_mode']
    + ['state_dict', 'model', 'decode_head', 'backbone', 'x', '']
)


def trees_of(leaves):
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(words, inner, max_size=5)
            | st.dictionaries(st.integers(), inner, max_size=2)
        ),
        max_leaves=12,
    )


trees = trees_of(leaves)
file_trees = trees_of(leaves | st.builds(torch.zeros, st.integers(0, 3)))


def small_fit() -> dict:
    """A fitted file of a small network."""
    model = pixel_network(components=2)
    images = {index: drawn_image(index) for index in range(4)}
    fit_all(DensityFitter(model, held_out=[0]), images)
    options = dict(preset='ddu-paper', components=2)
    report = dict(head=options, extra_heads={}, format=FORMAT)
    meta = dict(gda=report, seed=0)
    return dict(meta=meta, state_dict=model.state_dict())


def saved(content, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


FITTED = saved(small_fit())
LEGACY = saved(hostile.training_checkpoint(), zipped=False)


def use(path) -> None:
    """All that becomes of a file, short of a network."""
    content = read_checkpoint(path)
    weights_digest(path)
    if 'gda' in content['meta']:
        heads = fitted_heads(content['meta']['gda'])
        if heads['gda_head'].get('channels', 3) != 3:
            return  # of another network, and perhaps huge
        model = pixel_network(**heads['gda_head'])
        load_weights(model, content['state_dict'], str(path))
        if model.gda_head.ready:
            with torch.no_grad():
                model.predict(drawn_image(0).inputs)


def use_bytes(tmp_path_factory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / 'fuzzed.pth'
    path.write_bytes(data)
    with harmless():
        use(path)


def edit(data: bytes, edits) -> bytes:
    content = bytearray(data)
    for kind, place, value in edits:
        at = int(place * len(content))
        if kind == 'flip' and content:
            content[min(at, len(content) - 1)] ^= 1 << value % 8
        elif kind == 'cut':
            del content[at:]
        elif kind == 'drop':
            del content[at : at + value]
        elif kind == 'double':
            content[at:at] = content[at : at + value]
        elif kind == 'write':
            content[at : at + 1] = bytes([value])
    return bytes(content)


edits = st.lists(
    st.tuples(
        st.sampled_from(['flip', 'flip', 'cut', 'drop', 'double', 'write']),
        st.floats(0, 1),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)


@fuzz
@given(edits=edits, legacy=st.booleans())
def test_damaged_files(tmp_path_factory, edits, legacy):
    use_bytes(tmp_path_factory, edit(LEGACY if legacy else FITTED, edits))


@fuzz
@given(edits=edits, source=st.sampled_from(['fitted', 'training', 'evil']))
def test_damaged_pickles_in_whole_files(tmp_path_factory, edits, source):
    """The opcodes alone are changed, so that checksums say nothing."""
    contents = dict(
        training=hostile.training_checkpoint,
        fitted=small_fit,
        evil=lambda: hostile.in_place(hostile.shell('x'), 'meta', 'x'),
    )
    changed = io.BytesIO()
    original = zipfile.ZipFile(io.BytesIO(saved(contents[source]())))
    with zipfile.ZipFile(changed, 'w') as target:
        for name in original.namelist():
            data = original.read(name)
            if name.endswith('data.pkl'):
                data = edit(data, edits)
            target.writestr(name, data)
    use_bytes(tmp_path_factory, changed.getvalue())
    assert not os.path.exists('x')


@fuzz
@given(
    tree=file_trees,
    place=st.sampled_from(['', 'meta', 'gda', 'head', 'state']),
)
def test_random_contents(tmp_path_factory, tree, place):
    content = small_fit()
    if place == '':
        content = tree
    elif place == 'meta':
        content['meta'] = tree
    elif place == 'gda':
        content['meta']['gda'] = tree
    elif place == 'head':
        content['meta']['gda']['head'] = tree
    else:
        content['state_dict']['gda_head.density.means'] = tree
    use_bytes(tmp_path_factory, saved(content))


@fuzz
@given(key=st.sampled_from(sorted(small_fit()['state_dict'])), edits=edits)
def test_random_numbers_in_the_state(tmp_path_factory, key, edits):
    content = small_fit()
    value = content['state_dict'][key]
    data = bytes(value.contiguous().flatten().view(torch.uint8).numpy())
    data = edit(data, [e for e in edits if e[0] == 'flip'])
    if value.dtype != torch.bool and data:
        content['state_dict'][key] = torch.frombuffer(
            bytearray(data), dtype=value.dtype
        ).reshape(value.shape)
    use_bytes(tmp_path_factory, saved(content))


@fuzz
@given(options=st.dictionaries(st.sampled_from(OPTIONS), trees, max_size=4))
def test_options_of_the_head(options):
    with harmless():
        GDAHead(**{'num_classes': 3, 'channels': 6, **options})


@fuzz
@given(tree=trees, head=trees, gda=trees)
def test_model_configs(tree, head, gda):
    for model in (tree, dict(type='EncoderDecoder', decode_head=head)):
        with harmless():
            to_ddu_model(model, gda)
        with harmless():
            model_of_checkpoint(model, dict(gda=gda))


@fuzz
@given(text=st.text(max_size=30), names=st.lists(st.text(max_size=8)))
def test_methods(text, names):
    starts = ('', 'ddu=', 'mc_dropout', 'ensemble-', 'entropy=')
    for methods in (names, *([start + text] for start in starts)):
        with harmless():
            parse_methods(methods)


@fuzz
@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    suffix=st.sampled_from(['.json', '.yaml', '.yml', '.txt', '']),
    options=st.dictionaries(words, trees, max_size=3),
)
def test_config_files(tmp_path_factory, data, suffix, options):
    """Not of Python: such a config is code, and may do anything."""
    path = tmp_path_factory.getbasetemp() / f'config{suffix}'
    path.write_bytes(data)
    with harmless():
        read_config(path, options)
    with harmless():
        read_config(Config(dict(model=dict(a=1))), options)
