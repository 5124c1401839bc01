"""Kills, Ctrl-C and full disks lose no window; two runs do not meet."""

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest

from mmseg_ddu.apis import export_raster
from mmseg_ddu.apis.rasters import finished_windows, geotiff
from mmseg_ddu.apis.rasters.geotiff import Mosaic
from mmseg_ddu.engine.stopping import Interrupted
from mmseg_ddu.fileio import alone_at
from tests.apis.exporting.checks import contents, end_of, start_child

from .drawn_rasters import colors, rasterio, read, write_raster
from .test_place_and_maps import SMALL, assert_maps_of_stand_in

PIXELS = colors(64, 800)
WINDOWS = 12


@pytest.fixture
def scene(tmp_path):
    return write_raster(tmp_path / 'scene.tif', PIXELS)


@pytest.fixture
def run(tiny, scene, tmp_path):
    def run(**options):
        options = {**SMALL, **options}
        return export_raster(*tiny, [scene], tmp_path / 'out', **options)

    return run


def broken():
    raise RuntimeError('out of order')


def test_a_finished_one_of_other_bands_is_not_done(run, monkeypatch):
    """As before the class was among them."""
    run()
    whole = geotiff.settings_of

    def without(path):
        return {k: v for k, v in whole(path).items() if k != 'maps'}

    run(resume=True)
    monkeypatch.setattr(geotiff, 'settings_of', without)
    with pytest.raises(ValueError, match=r'maps \(was null, .*--overwrite'):
        run(resume=True)


def test_an_error_loses_no_window(run, before_window, tmp_path):
    before_window(5, broken)
    with pytest.raises(RuntimeError, match='out of order'):
        run()
    assert len(list((tmp_path / 'out/scene.part').glob('*_*.tif'))) == 4
    assert not list((tmp_path / 'out').glob('*.tif'))
    seen = before_window(0, broken)
    run(resume=True)
    assert len(seen) == WINDOWS - 4
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()
    assert not (tmp_path / 'out/scene.part').exists()
    seen.clear()
    run(resume=True)
    assert not seen


def test_a_kill_loses_no_window(run, before_window, tmp_path):
    before_window(6, lambda: time.sleep(600))
    child = start_child(run)
    part = tmp_path / 'out' / 'scene.part'
    while len(list(part.glob('[0-9]*_*.tif'))) < 5:
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert end_of(child) == -signal.SIGKILL
    seen = before_window(0, broken)
    run(resume=True)
    assert len(seen) == WINDOWS - 5
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()


def test_ctrl_c_finishes_the_window(run, before_window, tmp_path):
    before_window(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(
        Interrupted, match=r'Stopped after 3 of 12 windows .*--resume'
    ):
        run()
    seen = before_window(0, broken)
    run(resume=True)
    assert len(seen) == WINDOWS - 3
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()


def test_a_window_that_was_cut_off_is_done_again(run, before_window, tmp_path):
    before_window(4, broken)
    with pytest.raises(RuntimeError):
        run()
    path = tmp_path / 'out/scene.part/0_64.tif'
    path.write_bytes(path.read_bytes()[:-1000])
    seen = before_window(0, broken)
    run(resume=True)
    assert seen[0] == '0_64.tif' and len(seen) == WINDOWS - 2
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()


def test_other_settings_are_not_mixed(run, before_window, scene, tmp_path):
    before_window(4, broken)
    with pytest.raises(RuntimeError):
        run()
    with pytest.raises(ValueError, match=r'overlap \(was 64, now 0\)'):
        run(resume=True, overlap=0)
    write_raster(scene, colors(64, 801))
    with pytest.raises(ValueError, match='shape .*Resume it with the same'):
        run(resume=True)
    before_window(0, broken)
    run(overwrite=True)
    assert_maps_of_stand_in(tmp_path / 'out', colors(64, 801))
    with pytest.raises(ValueError, match=r'window \(was 128, now 192\)'):
        run(resume=True, window=192)


def test_what_is_there_is_not_replaced(run, before_window, tmp_path):
    run()
    before = read(tmp_path / 'out' / 'scene_class.tif')
    with pytest.raises(FileExistsError, match='--resume.*--overwrite'):
        run()
    with pytest.raises(ValueError, match='overwrite or resume'):
        run(overwrite=True, resume=True)
    run(overwrite=True)
    after = read(tmp_path / 'out' / 'scene_class.tif')
    assert np.array_equal(before, after)


def test_statistics_of_former_maps_do_not_stay(run, tmp_path):
    """Viewers save them beside a file, and believe them later."""
    run()
    beside = tmp_path / 'out' / 'scene_uncertainty.tif.aux.xml'
    value = '<MDI key="STATISTICS_MAXIMUM">12345</MDI>'
    beside.write_text(
        '<PAMDataset><PAMRasterBand band="2"><Metadata>'
        f'{value}</Metadata></PAMRasterBand></PAMDataset>'
    )
    path = beside.with_suffix('').with_suffix('')
    with rasterio.open(path) as file:
        assert file.tags(2)['STATISTICS_MAXIMUM'] == '12345'
    run(overwrite=True)
    with rasterio.open(path) as file:
        assert 'STATISTICS_MAXIMUM' not in file.tags(2)


def test_what_is_in_the_way_of_outputs(run, tmp_path):
    """Which is said before anything is predicted."""
    (tmp_path / 'out' / 'scene_uncertainty.tif').mkdir(parents=True)
    for how in (dict(overwrite=True), dict(resume=True), {}):
        with pytest.raises(OSError, match=r'uncertainty\.tif is in the way'):
            run(**how)
    (tmp_path / 'out' / 'scene_uncertainty.tif').rmdir()
    (tmp_path / 'out' / 'scene.part').touch()
    with pytest.raises(OSError, match=r'scene\.part is in the way'):
        run(overwrite=True)


def test_rasters_are_not_written_over(tiny, tmp_path):
    files = [tmp_path / 'scene.tif', tmp_path / 'scene_class.tif']
    for file in files:
        write_raster(file, PIXELS)
    with pytest.raises(ValueError, match='class.tif is one of the rasters'):
        export_raster(*tiny, files, tmp_path, overwrite=True)


def test_windows_that_have_gone_are_noticed(run, before_window, tmp_path):
    first = tmp_path / 'out/scene.part/0_0.tif'
    before_window(WINDOWS, lambda: first.unlink())
    with pytest.raises(OSError, match='Windows have gone from'):
        run()
    run(resume=True)
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()


def test_a_full_disk(run, monkeypatch, before_window, tmp_path):
    real, calls = finished_windows.tiff_bytes, []

    def full(*args, **options):
        calls.append(args)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real(*args, **options)

    monkeypatch.setattr(finished_windows, 'tiff_bytes', full)
    with pytest.raises(OSError, match=r'is full\. .*--resume'):
        run()
    seen = before_window(0, broken)
    run(resume=True)
    assert len(seen) == WINDOWS - 3


def test_a_file_that_was_cut_off_in_silence(
    run, monkeypatch, before_window, tmp_path
):
    """As GDAL does where the disk is full at the very end."""
    real = Mosaic._copy

    def cut(mosaic, source, target, **options):
        real(mosaic, source, target, **options)
        os.truncate(target, os.path.getsize(target) - 2000)

    with monkeypatch.context() as patch:
        patch.setattr(Mosaic, '_copy', cut)
        with pytest.raises(OSError, match=r'class\.tif cannot be .*--resume'):
            run()
    assert not list((tmp_path / 'out').glob('*.tif'))
    seen = before_window(0, broken)
    run(resume=True)
    assert not seen
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()


def test_ctrl_c_stops_gdal(run, before_window, monkeypatch, tmp_path):
    """While it puts windows together, which takes for ever here."""
    start, started = subprocess.Popen, []
    code = (
        'import os, signal, sys, time; open(sys.argv[3], "wb"); '
        'os.kill(os.getppid(), signal.SIGINT); time.sleep(60)'
    )

    def endless(words, **options):
        words = [words[0], '-c', code, *words[1:]]
        started.append(start(words, **options))
        return started[-1]

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, 'Popen', endless)
        with pytest.raises(Interrupted, match='All are kept; .* --resume'):
            run()
    assert [copy.returncode for copy in started] == [-signal.SIGKILL]
    assert not list((tmp_path / 'out').rglob('class.tif*'))
    seen = before_window(0, broken)
    run(resume=True)
    assert not seen
    assert assert_maps_of_stand_in(tmp_path / 'out', PIXELS).all()


def test_what_gdal_says_is_in_the_error(run, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        real = partialmethod(Mosaic.write, blocksize='17')
        patch.setattr(Mosaic, 'write', real)
        with pytest.raises(OSError, match=r'class\.tif cannot .*Bad value 17'):
            run()
    run(resume=True)


def test_gdal_ends_with_its_parent(tmp_path):
    """Whose end closes the pipe."""
    code = (
        'import runpy, sys, time, rasterio.shutil; '
        'rasterio.shutil.copy = lambda *_, **__: time.sleep(60); '
        'runpy.run_path(sys.argv.pop(1), run_name="__main__")'
    )
    program = Path(geotiff.__file__).with_name('gdal_copy.py')
    words = [str(program), 'a', 'b', '{}']
    child = subprocess.Popen(
        [sys.executable, '-c', code, *words], stdin=subprocess.PIPE
    )
    child.stdin.close()
    assert child.wait() == 1


def test_one_run_at_a_time(run, before_window, tmp_path):
    """And what the first one has begun is as it was."""
    before_window(4, broken)
    with pytest.raises(RuntimeError):
        run()
    before = contents(tmp_path / 'out')
    with alone_at(tmp_path / 'out'):
        for how in (dict(resume=True), dict(overwrite=True), {}):
            with pytest.raises(OSError, match='Another process .* folder'):
                run(**how)
    assert contents(tmp_path / 'out') == before
    run(resume=True)
