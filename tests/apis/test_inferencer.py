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
from mmseg_ddu.core import NotFittedError

MAPS = ('pred_epistemic', 'pred_aleatoric', 'pred_percentile')
RNG = np.random.default_rng(0)


def picture(height=40, width=56):
    return RNG.integers(0, 255, (height, width, 3), np.uint8)


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp('kept')


@pytest.fixture
def fitted(kept, plain_cfg, checkpoint):
    """A user's config file and a fitted checkpoint, made once."""
    config, weights = kept / 'config.py', kept / 'fitted_gda.pth'
    if not weights.is_file():
        plain_cfg.dump(config)
        fit_gda(plain_cfg, checkpoint, out=weights)
    return config, weights


@pytest.fixture
def inferencer(fitted):
    return DDUInferencer(*fitted, device='cpu', show_progress=False)


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


def test_one_image_is_that_of_predict(fitted, inferencer, folder):
    assert isinstance(inferencer, MMSegInferencer)
    result = inferencer(str(folder / 'a.png'))
    prediction = result['predictions']
    model = init_ddu(*fitted)
    sample = predict(model, folder / 'a.png')
    scores = sample.pred_epistemic.data[0]
    expected = dict(
        pred_sem_seg=sample.pred_sem_seg.data[0],
        pred_epistemic=scores,
        pred_aleatoric=sample.pred_aleatoric.data[0],
        pred_percentile=model.gda_head.percentile(scores),
    )
    assert prediction.pop('name') == 'a'
    assert set(prediction) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(prediction[key], value, rtol=1e-6)
        assert prediction[key].shape == (40, 56)
    assert result['skipped'] == []
    array = cv2.imread(str(folder / 'a.png'))
    again = inferencer(array)['predictions']
    for key in MAPS:
        np.testing.assert_array_equal(again[key], prediction[key])


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
        for key in MAPS:
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
        for key in MAPS:
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
    assert sample.pred_epistemic.shape == source.pixels().shape[:2]
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


def test_samples_and_progress(fitted, folder, capsys):
    inferencer = DDUInferencer(*fitted, device='cpu')
    samples = inferencer(folder, return_datasamples=True)
    assert [sample.pred_percentile.shape for sample in samples] == [
        (40, 56),
        (30, 20),
    ]
    sample = inferencer(picture(), return_datasamples=True)
    assert torch.isfinite(sample.seg_logits.data).all()
    assert 'Inference' in capsys.readouterr().out


def test_augmentations(fitted):
    image = picture()
    inferencer = DDUInferencer(*fitted, tta=True, show_progress=False)
    maps = inferencer([image, image], batch_size=2)['predictions'][1]
    flipped = inferencer(image[:, ::-1].copy())['predictions']
    np.testing.assert_allclose(
        maps['pred_aleatoric'], flipped['pred_aleatoric'][:, ::-1], atol=1e-4
    )


def test_what_is_refused(fitted, inferencer, checkpoint, folder, tmp_path):
    config, _ = fitted
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
