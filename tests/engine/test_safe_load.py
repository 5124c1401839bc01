"""Files that would run code are refused, and nothing in them runs."""

import io
import os
import runpy
import warnings

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmseg_ddu.engine import safe_load
from mmseg_ddu.engine.checkpoint import read_checkpoint
from mmseg_ddu.engine.safe_load import load, safe_loading, trust_checkpoints
from tests import hostile

# They run code when a file is trusted, which shows that they could.
RUN = [
    'alone',
    'meta',
    'key_of_meta',
    'state_dict',
    'optimizer',
    'message_hub',
    'object_array',
    'eval',
    'nested',
    'legacy_alone',
    'legacy_state_dict',
]


@pytest.fixture
def files(tmp_path):
    return hostile.write_all(tmp_path, tmp_path / 'marker')


def test_hostile_files_are_refused(files, tmp_path):
    assert len(files) > 20
    for name, path in files.items():
        with pytest.raises(ValueError, match='nothing of it was run'):
            load(path)
        with pytest.raises(ValueError, match='--trust-checkpoint'):
            read_checkpoint(path)
        assert not (tmp_path / 'marker').exists(), name


def test_whoever_calls_torch_load_inside(files, tmp_path, monkeypatch):
    """Also who asks for weights_only=False, or sets torch's variable."""
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    before = torch.load
    for name, path in files.items():
        for options in ({}, dict(weights_only=False), dict(map_location=None)):
            with safe_loading(), pytest.raises(ValueError, match='was run'):
                torch.load(path, **options)
        with safe_loading(), pytest.raises(ValueError, match='was run'):
            torch.load(io.BytesIO(path.read_bytes()))
        with safe_loading(), pytest.raises(ValueError, match='was run'):
            torch.hub.load_state_dict_from_url(
                path.as_uri(), str(tmp_path / 'hub'), progress=False
            )
        assert not (tmp_path / 'marker').exists(), name
    assert torch.load is before


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', RUN)
def test_trusted_files_run(files, name, tmp_path):
    """The same files do harm, so the test above can fail."""
    with trust_checkpoints():
        try:
            load(files[name])
        except Exception as error:
            print(error)
    assert (tmp_path / 'marker').exists()


def test_trust_says_so_and_ends(files, tmp_path):
    with trust_checkpoints(), pytest.warns(UserWarning, match='is trusted'):
        assert load(files['meta'])['meta']['x'] == 0
    os.remove(tmp_path / 'marker')
    with pytest.raises(ValueError, match='could run code'):
        load(files['meta'])
    assert not (tmp_path / 'marker').exists()


def test_what_the_process_allows_does_not_count(files, tmp_path):
    """Allow-lists of others neither widen ours nor are lost."""
    torch.serialization.add_safe_globals([os.system, getattr, eval])
    try:
        for name in ('zip', 'eval', 'globals', 'getattr'):
            with pytest.raises(ValueError, match='nothing of it was run'):
                load(files[name])
        assert getattr in torch.serialization.get_safe_globals()
    finally:
        torch.serialization.clear_safe_globals()
    assert not (tmp_path / 'marker').exists()


def test_nothing_is_allowed_for_good(tmp_path):
    torch.save(hostile.training_checkpoint(), tmp_path / 'a.pth')
    before = set(torch.serialization.get_safe_globals())
    load(tmp_path / 'a.pth')
    assert set(torch.serialization.get_safe_globals()) == before


def test_training_checkpoints_come_back_as_they_were(tmp_path):
    content = hostile.training_checkpoint()
    history, empty = HistoryBuffer(), HistoryBuffer()
    for value in range(5):
        history.update(value / 2)
    content['message_hub']['log_scalars'].update(loss=history, empty=empty)
    arrays = dict(
        f=np.arange(6, dtype=np.float32).reshape(2, 3),
        fortran=np.asfortranarray(np.arange(6).reshape(2, 3)),
        none=np.zeros((0, 3)),
        flat=np.array(3.5),
        big=np.arange(3, dtype='>i4'),
        bool=np.array([True, False]),
    )
    numbers = [np.float32(1.5), np.float64(2.5), np.int64(3), np.bool_(True)]
    content['message_hub']['runtime_info'].update(arrays, numbers=numbers)
    content['meta']['config'] = 'import this'
    for zipped in (True, False):
        path = tmp_path / 'a.pth'
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        found = load(path)
        assert torch.equal(found['state_dict']['weight'], torch.ones(2, 3))
        hub = found['message_hub']
        for name, value in arrays.items():
            got = hub['runtime_info'][name]
            assert type(got) is np.ndarray and got.dtype == value.dtype
            np.testing.assert_array_equal(got, value)
        got = hub['runtime_info']['numbers']
        assert got == numbers
        assert list(map(type, got)) == list(map(type, numbers))
        back = hub['log_scalars']['loss']
        assert type(back) is HistoryBuffer and back.mean() == 1.0
        back.update(7.0)
        assert back.statistics('max') == 7.0
        hub['log_scalars']['empty'].update(1)
        assert 'config' not in found['meta']


def test_log_methods_of_a_file_do_not_reach_the_class(tmp_path):
    methods = dict(HistoryBuffer._statistics_methods)
    history = HistoryBuffer()
    history.__dict__['statistics_methods'] = {'mean': torch.device}
    history._statistics_methods = {'mean': torch.device}
    content = hostile.in_place(history, 'message_hub', 'log_scalars', 'x')
    torch.save(content, tmp_path / 'a.pth')
    load(tmp_path / 'a.pth')
    assert HistoryBuffer._statistics_methods == methods


@pytest.mark.parametrize('kind', ['cycle', 'deep', 'wide'])
def test_endless_nesting_is_refused(kind, tmp_path):
    value: list = [1]
    if kind == 'cycle':
        value.append(value)
    for _ in range(200 if kind == 'deep' else 45):
        value = [value] if kind == 'deep' else [value, value]
    content = hostile.in_place(value, 'meta', 'x')
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='cannot be read'):
        load(tmp_path / 'a.pth')


def no_storage(shape):
    return torch.ones(1).expand(shape)


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torch.quantize_per_tensor(torch.ones(3), 1.0, 0, torch.qint8)


@pytest.mark.parametrize(
    'make',
    [
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.eye(3).to_sparse_csr(),
        lambda: torch.ones(2, 3, device='meta'),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.ones(3, dtype=torch.complex64),
        lambda: no_storage((10**6, 10**6)),
        quantized,
    ],
)
@pytest.mark.filterwarnings('ignore')
def test_tensors_that_are_no_weights(make, tmp_path):
    torch.save(dict(state_dict=dict(a=make())), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'content',
    [
        3,
        [],
        {},
        dict(state_dict=3),
        dict(state_dict={}),
        dict(state_dict=dict(a=1)),
        dict(state_dict=dict(a=torch.ones(1)), meta=[1]),
        dict(meta={}),
    ],
)
def test_no_checkpoint_at_all(content, tmp_path):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth'):
        read_checkpoint(tmp_path / 'a.pth')


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / 'absent.pth')
    with pytest.raises(FileNotFoundError):
        load(tmp_path / 'absent.pth')


def test_an_old_torch_is_refused(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
    with pytest.raises(ImportError, match='needs torch 2.6.0 or newer'):
        runpy.run_path(safe_load.__file__)
