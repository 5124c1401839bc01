"""Everything that the inferencer takes, and what it gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from mmseg.apis import MMSegInferencer
from PIL import Image

from mmseg_ddu.apis import DDUInferencer, fit_gda, init_ddu, predict
from mmseg_ddu.apis.image_sources import iter_sources
from mmseg_ddu.core.errors import NotFittedError
from mmseg_ddu.models.map_names import MAPS, NOVELTY, PERCENTILE
from tests.stand_in import make_stand_in

FIELDS = [f'pred_{name}{end}' for name in MAPS for end in ('', PERCENTILE)]
RNG = np.random.default_rng(0)


def picture(height=40, width=56):
    return RNG.integers(0, 255, (height, width, 3), np.uint8)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A config and a checkpoint of the stand-in."""
    return make_stand_in(tmp_path_factory.mktemp('tiny'))


@pytest.fixture
def inferencer(tiny):
    return DDUInferencer(*tiny, device='cpu', show_progress=False)


@pytest.fixture
def folder(tmp_path):
    """Two images, a damaged one, and a file that is none."""
    root = tmp_path / 'photos'
    (root / 'below').mkdir(parents=True)
    Image.fromarray(picture()).save(root / 'a.png')
    Image.fromarray(picture(30, 20)).save(root / 'below' / 'a.png')
    (root / 'b.jpg').write_bytes(b'no image')
    (root / 'c.png').touch()
    (root / 'notes.txt').write_text('no image either')
    return root


def write_video(path, frames):
    size = frames[0].shape[1::-1]
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, 5, size)
    if not writer.isOpened():
        pytest.skip('this OpenCV writes no videos')
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def fitted(plain_cfg, checkpoint):
    """A config and a network with fitted densities."""
    return plain_cfg, fit_gda(plain_cfg, checkpoint)


@pytest.mark.parametrize('kind', ['tiny', 'fitted'])
def test_one_image_is_that_of_predict(kind, folder, request):
    args = request.getfixturevalue(kind)
    inferencer = DDUInferencer(*args, device='cpu', show_progress=False)
    assert isinstance(inferencer, MMSegInferencer)
    result = inferencer(str(folder / 'a.png'))
    prediction = result['predictions']
    sample = predict(init_ddu(*args), folder / 'a.png')
    assert prediction.pop('name') == 'a'
    for key in (NOVELTY, NOVELTY + PERCENTILE):
        assert prediction.pop(key) == pytest.approx(sample.metainfo[key])
    assert set(prediction) == {'pred_sem_seg', *FIELDS}
    for key, value in prediction.items():
        expected = sample.get(key).data[0]
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        assert value.shape == (40, 56)
    assert result['skipped'] == []
    array = cv2.imread(str(folder / 'a.png'))
    again = inferencer(array)['predictions']
    for key in FIELDS:
        np.testing.assert_array_equal(again[key], prediction[key])


def test_sampled_maps_have_no_percentile(tmp_path):
    inferencer = DDUInferencer(*make_stand_in(tmp_path, sampled=True))
    prediction = inferencer(picture())['predictions']
    maps = {f'pred_{name}' for name in MAPS}
    assert set(prediction) == {'name', 'pred_sem_seg', *maps}


def test_folder_with_damaged_files(inferencer, folder, tmp_path):
    out = tmp_path / 'out'
    result = inferencer(folder, batch_size=3, out_dir=out, return_vis=True)
    names = [row['name'] for row in result['predictions']]
    assert names == ['a', 'below/a']
    assert [row['name'] for row in result['skipped']] == ['b', 'c']
    assert all(row['error'] for row in result['skipped'])
    for row, drawn in zip(result['predictions'], result['visualization']):
        saved = np.asarray(Image.open(out / 'vis' / f'{row["name"]}.png'))
        assert (saved == drawn).all()
        for key in FIELDS:
            kind = key.removeprefix('pred_')
            path = out / 'pred' / kind / f'{row["name"]}.npy'
            np.testing.assert_array_equal(np.load(path), row[key])
        classes = Image.open(out / 'pred' / 'class' / f'{row["name"]}.png')
        assert (np.asarray(classes) == row['pred_sem_seg']).all()


def test_a_folder_of_frames_with_what_is_no_image(inferencer, tmp_path):
    """None of it stops the rest, whatever its name says."""
    root = tmp_path / 'frames'
    root.mkdir()
    for number in (0, 7):
        Image.fromarray(picture(24, 24)).save(root / f'{number}.png')
    whole = (root / '0.png').read_bytes()
    (root / '1.png').write_text('a text with the name of an image')
    (root / '2.png').write_bytes(whole[: len(whole) // 2])
    (root / '3.png').mkdir()  # a folder, whatever its name, is searched
    (root / '4.png').symlink_to(root / 'nowhere')
    (root / '5.jpg').write_bytes(bytes(1000))
    (root / '6.json').write_text('{}')
    (root / 'film.mp4').write_bytes(b'no video')
    for batch_size in (1, 3):
        result = inferencer(root, batch_size=batch_size)
        assert [row['name'] for row in result['predictions']] == ['0', '7']
        lost = [row['name'] for row in result['skipped']]
        assert lost == ['1', '2', '4', '5']
        assert all(row['error'] for row in result['skipped'])


def test_batches_of_several_sizes_keep_the_order(inferencer):
    images = [picture(), picture(24, 32), picture(), picture(32, 24)]
    one = inferencer(images)['predictions']
    four = inferencer(images, batch_size=4)['predictions']
    for image, first, second in zip(images, one, four, strict=True):
        assert first['pred_epistemic'].shape == image.shape[:2]
        for key in FIELDS:
            np.testing.assert_allclose(
                first[key], second[key], rtol=1e-4, atol=1e-4
            )


def test_a_stream_is_read_as_it_is_used(inferencer):
    read = []

    def frames():
        for index in range(6):
            read.append(index)
            yield picture(24, 24)

    stream = inferencer.stream(frames(), batch_size=2)
    source, sample = next(stream)
    assert read == [0, 1]
    assert sample.pred_epistemic.shape == source.image.shape[:2]
    assert len(list(stream)) == 5


def test_bad_frames_do_not_stop_a_stream(inferencer):
    good = picture(24, 24)
    frames = [good, None, good.astype(float), good[..., 0], 'nowhere.png']
    result = inferencer((frame for frame in [*frames, good]), batch_size=2)
    names = [row['name'] for row in result['predictions']]
    assert names == ['00000000', '00000005']
    np.testing.assert_array_equal(
        *[row['pred_epistemic'] for row in result['predictions']]
    )
    errors = {row['name']: row['error'] for row in result['skipped']}
    assert list(errors) == ['00000001', '00000002', '00000003', 'nowhere']
    assert 'NoneType' in errors['00000001']
    assert 'float64' in errors['00000002']


def test_video(inferencer, tmp_path):
    frames = [np.full((48, 64, 3), 40 * i, np.uint8) for i in range(5)]
    path = write_video(tmp_path / 'film.avi', frames)
    result = inferencer(str(path), batch_size=2)
    names = [row['name'] for row in result['predictions']]
    assert names == [f'film_{i:08d}' for i in range(5)]
    decoded = [source.image for source in iter_sources(path)]
    again = inferencer(np.stack(decoded))['predictions']
    for first, second in zip(result['predictions'], again, strict=True):
        np.testing.assert_allclose(
            first['pred_epistemic'], second['pred_epistemic'], rtol=1e-4
        )


def test_video_with_a_damaged_frame(inferencer, tmp_path):
    frames = [picture(48, 64) for _ in range(6)]
    path = write_video(tmp_path / 'film.avi', frames)
    content = bytearray(path.read_bytes())
    starts = [
        i for i in range(len(content)) if content[i : i + 3] == b'\xff\xd8\xff'
    ]
    assert len(starts) == 6
    content[starts[2] : starts[3] - 8] = bytes(starts[3] - 8 - starts[2])
    path.write_bytes(content)
    result = inferencer(path)
    done = [row['name'] for row in result['predictions']]
    lost = [row['name'] for row in result['skipped']]
    assert 'film_00000005' in done or len(done) >= 5
    assert lost and len(done) + len(lost) == 6


def test_a_damaged_video_beside_images(inferencer, folder, tmp_path):
    (tmp_path / 'film.mp4').write_bytes(b'no video')
    result = inferencer([tmp_path / 'film.mp4', folder / 'a.png'])
    assert [row['name'] for row in result['predictions']] == ['a']
    assert [row['name'] for row in result['skipped']] == ['film']


def test_samples_and_progress(tiny, folder, capsys):
    inferencer = DDUInferencer(*tiny, device='cpu')
    samples = inferencer(folder, return_datasamples=True)
    assert [sample.pred_total_percentile.shape for sample in samples] == [
        (40, 56),
        (30, 20),
    ]
    sample = inferencer(picture(), return_datasamples=True)
    assert torch.isfinite(sample.pred_total.data).all()
    assert 'Inference' in capsys.readouterr().out


def test_augmentations(fitted):
    image = picture()
    inferencer = DDUInferencer(*fitted, tta=True, show_progress=False)
    maps = inferencer([image, image], batch_size=2)['predictions'][1]
    flipped = inferencer(image[:, ::-1].copy())['predictions']
    np.testing.assert_allclose(
        maps['pred_aleatoric'], flipped['pred_aleatoric'][:, ::-1], atol=1e-4
    )


def test_what_is_refused(inferencer, plain_cfg, checkpoint, folder, tmp_path):
    config = plain_cfg
    with pytest.raises(NotFittedError):
        DDUInferencer(config, checkpoint)
    with pytest.raises(ValueError, match='fit_gda'):
        DDUInferencer(config)
    with pytest.raises(ValueError, match='cannot be read'):
        inferencer(folder / 'b.jpg')
    with pytest.raises(FileNotFoundError):
        inferencer(tmp_path / 'absent.png')
    with pytest.raises(TypeError, match='iterable'):
        inferencer(3)
    with pytest.raises(ValueError, match='batch_size'):
        inferencer([picture()], batch_size=0)
    assert inferencer([])['predictions'] == []


def test_names_are_unique(folder):
    paths = [folder / 'a.png', folder / 'below' / 'a.png']
    names = [source.name for source in iter_sources(paths)]
    assert names == ['a', 'a_1']
