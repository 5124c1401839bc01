"""Files that try to run code when they are read."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_multiarray = np._core.multiarray if hasattr(np, '_core') else None
_multiarray = _multiarray or np.core.multiarray


class Call:
    """Pickles as the call of a function, with a state if there is one."""

    def __init__(self, function, *args, state=None):
        self.parts = (function, args) + ((state,) if state else ())

    def __reduce__(self):
        return self.parts


def shell(marker: Path) -> Call:
    return Call(os.system, f'touch {marker}')


def array(dtype, data, shape=(2,)) -> Call:
    """A numpy array with a state of one's own."""
    return Call(
        _multiarray._reconstruct,
        np.ndarray,
        (0,),
        b'b',
        state=(1, shape, dtype, False, data),
    )


def flagged_dtype(flags: int) -> Call:
    """float64 whose numbers are to be taken for addresses of objects."""
    state = (3, '<', None, None, None, -1, -1, flags)
    return Call(np.dtype, 'f8', False, True, state=state)


def training_checkpoint(**extra) -> dict:
    """What mmengine saves, small, with some of it exchanged."""
    history = HistoryBuffer()
    history.update(1.5)
    return dict(
        meta=dict(epoch=0, iter=2, best=np.float32(3)),
        state_dict=OrderedDict(weight=torch.ones(2, 3)),
        message_hub=dict(
            log_scalars=dict(loss=history),
            runtime_info=dict(iter=2, lr=np.float64(0.1)),
            resumed_keys=dict(),
        ),
        optimizer=dict(state={0: dict(step=torch.ones(()))}, param_groups=[]),
        **extra,
    )


def in_place(evil, *keys) -> dict:
    """A checkpoint with something in one of its parts."""
    content = part = training_checkpoint()
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = evil
    return content


def chain(*names: str):
    """getattr of getattr of …, from the one class that needs it."""
    value = HistoryBuffer
    for name in names:
        value = Call(getattr, value, name)
    return value


def objects(marker: Path) -> dict[str, object]:
    """Name to what torch.save writes."""
    evil = shell(marker)
    return dict(
        alone=evil,
        meta=in_place(evil, 'meta', 'x'),
        key_of_meta=in_place({evil: 1}, 'meta'),
        state_dict=in_place(evil, 'state_dict', 'weight'),
        optimizer=in_place(evil, 'optimizer', 'state'),
        message_hub=in_place(evil, 'message_hub', 'runtime_info', 'x'),
        log_history=in_place(
            Call(object.__new__, HistoryBuffer, state=dict(x=evil)),
            'message_hub',
            'x',
        ),
        object_array=in_place(np.array([evil, 1], object), 'meta', 'x'),
        object_dtype=in_place(array(np.dtype('O'), [evil, 1]), 'meta', 'x'),
        flags=in_place(array(flagged_dtype(63), [evil, 1]), 'meta', 'x'),
        addresses=in_place(array(flagged_dtype(1), b'A' * 16), 'meta', 'x'),
        globals=in_place(chain('__init__', '__globals__'), 'meta', 'x'),
        subclasses=in_place(chain('__base__', '__subclasses__'), 'meta', 'x'),
        getattr=in_place(Call(getattr, object, 'mro'), 'meta', 'x'),
        eval=in_place(Call(eval, f'open({str(marker)!r}, "w")'), 'meta', 'x'),
        import_=in_place(Call(__import__, 'antigravity'), 'meta', 'x'),
        torch_load=in_place(Call(torch.load, str(marker)), 'meta', 'x'),
        nested=in_place(Call(pickle.loads, pickle.dumps(evil)), 'meta', 'x'),
    )


def write_zip(path: Path, code: bytes) -> None:
    """torch's zip with a pickle of one's own inside."""
    buffer = io.BytesIO()
    torch.save(training_checkpoint(), buffer)
    with (
        zipfile.ZipFile(buffer) as source,
        zipfile.ZipFile(path, 'w') as target,
    ):
        for name in source.namelist():
            mine = name.endswith('data.pkl')
            target.writestr(name, code if mine else source.read(name))


def write_tar(path: Path, code: bytes) -> None:
    """The oldest format of torch."""
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as file:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            info = tarfile.TarInfo(name)
            info.size = len(code)
            file.addfile(info, io.BytesIO(code))


def write_all(folder: Path, marker: Path) -> dict[str, Path]:
    """Name to file."""
    files = {}
    for name, content in objects(marker).items():
        files[name] = folder / f'{name}.pth'
        torch.save(content, files[name])
    for name in ('alone', 'meta', 'state_dict', 'optimizer'):
        files[f'legacy_{name}'] = folder / f'legacy_{name}.pth'
        torch.save(
            objects(marker)[name],
            files[f'legacy_{name}'],
            _use_new_zipfile_serialization=False,
        )
    code = b'cos\nsystem\n(V' + f'touch {marker}'.encode() + b'\ntR.'
    writers = dict(
        zip=write_zip,
        tar=write_tar,
        opcodes=lambda path, code: path.write_bytes(code),
        pickle4=lambda path, _: path.write_bytes(
            pickle.dumps(in_place(shell(marker), 'meta', 'x'), 4)
        ),
    )
    for name, write in writers.items():
        files[name] = folder / f'{name}.pth'
        write(files[name], code)
    return files
