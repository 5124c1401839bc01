"""Each way of shifting an image, against what it claims to do."""

import cv2
import numpy as np
import pytest

from mmseg_ddu.datasets.image_shifts import (
    MOVED,
    REFERENCE_SIDE,
    SHIFTS,
    blur,
    crop,
    gray,
    inverted,
    jpeg,
    low_contrast,
    motion_blur,
    noise,
    noisy,
    shuffled,
    texture,
    upside_down,
)

NAMES = {
    'blur', 'inverted', 'noisy', 'noise', 'jpeg', 'texture', 'crop',
    'upside_down', 'shuffled', 'low_contrast', 'gray', 'motion_blur',
}  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def image():
    """Smooth colours, no symmetry, longer side 160."""
    y, x = np.mgrid[:96, :160].astype(np.float32)
    channels = [x * 1.5, 255 - 2 * y, 127 + 120 * np.sin(x / 9 + y / 13)]
    return np.stack(channels, 2).clip(0, 255).astype(np.uint8)


def test_names():
    assert set(SHIFTS) == NAMES
    for name, shift in SHIFTS.items():
        assert shift.function.__name__ == name


@pytest.mark.parametrize('name', sorted(NAMES))
@pytest.mark.parametrize('size', [(96, 160), (7, 5), (61, 83)])
def test_shape_type_and_repeatability(name, size):
    image = rng(1).integers(0, 256, (*size, 3), np.uint8)
    before = image.copy()
    function = SHIFTS[name].function
    first, second = function(image, rng(2)), function(image, rng(2))
    assert first.shape == image.shape and first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert np.array_equal(image, before)
    if min(size) > 8:  # smaller than the blur otherwise
        assert not np.array_equal(first, image)


def test_blur_is_opencvs_and_grows_with_the_image(image):
    """A blurred big image looks like the small one, blurred."""
    scale = 160 / REFERENCE_SIDE
    expected = cv2.GaussianBlur(image, (0, 0), 4 * scale)
    assert np.array_equal(blur(image, rng()), expected)
    big = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(
        blur(big, rng()), (160, 96), interpolation=cv2.INTER_AREA
    )
    difference = np.abs(small.astype(int) - blur(image, rng()))
    assert difference[12:-12, 12:-12].mean() < 1


def test_inverted_twice_is_the_image(image):
    once = inverted(image, rng())
    assert np.array_equal(once.astype(int) + image, np.full(image.shape, 255))
    assert np.array_equal(inverted(once, rng()), image)


def test_noisy_has_the_spread_it_says():
    """On mid grey, where little is clipped."""
    image = np.full((200, 200, 3), 128, np.uint8)
    residual = noisy(image, rng(), sigma=20).astype(float) - 128
    assert abs(residual.mean()) < 0.5
    assert residual.std() == pytest.approx(20, rel=0.02)


def test_noise_is_uniform_and_forgets_the_image(image):
    first, second = noise(image, rng()), noise(image * 0, rng())
    assert np.array_equal(first, second)
    counts = np.bincount(first.ravel(), minlength=256)
    expected = first.size / 256
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 255 + 4 * np.sqrt(2 * 255)


def test_jpeg_survives_as_a_file_of_this_quality(image, tmp_path):
    path = str(tmp_path / 'x.jpg')
    cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 5])
    assert np.array_equal(jpeg(image, rng()), cv2.imread(path))
    better = np.abs(jpeg(image, rng(), quality=95).astype(int) - image).mean()
    worse = np.abs(jpeg(image, rng()).astype(int) - image).mean()
    assert worse > 2 * better


def test_low_contrast(image):
    low = low_contrast(image, rng(), contrast=0.1).astype(float)
    assert low.mean() == pytest.approx(image.mean(), abs=0.5)
    assert low.std() == pytest.approx(0.1 * image.std(), rel=0.03)


def test_gray_has_equal_channels_of_the_right_brightness(image):
    out = gray(image, rng())
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 0], out[..., 2])
    weights = np.array([0.114, 0.587, 0.299])  # BGR, ITU-R BT.601
    assert np.abs(out[..., 0] - image @ weights).max() <= 1


def test_motion_blur_is_a_line():
    """A single bright pixel becomes a thin line of the same brightness."""
    image = np.zeros((321, 320, 3), np.uint8)
    image[160, 160] = 255
    for seed in range(5):
        out = motion_blur(image, rng(seed), length=24)[..., 0].astype(float)
        points = np.argwhere(out > 0)
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
        assert spread[1] == pytest.approx(24 / np.sqrt(12), rel=0.2)
        assert spread[0] < 0.6
        assert out.sum() == pytest.approx(255, rel=0.1)


def test_texture_is_neither_flat_nor_the_image(image):
    seen = [texture(image, rng(seed)) for seed in range(12)]
    forgets = texture(np.zeros_like(image), rng(3))
    assert np.array_equal(seen[3], forgets)
    for out in seen:
        assert out.reshape(-1, 3).std(0).max() > 5
    means = np.array([out.mean((0, 1)) for out in seen])
    assert means.std(0).min() > 15
    levels = {len(np.unique(out.reshape(-1, 3), axis=0)) > 8 for out in seen}
    assert levels == {True, False}  # checkers have few, the others many


def test_upside_down(image):
    assert np.array_equal(upside_down(image, rng()), np.flipud(image))


def test_crop_is_a_window_at_six_times_the_size():
    """Coordinates as pixel values say where each pixel came from."""
    height, width = 120, 240
    y, x = np.mgrid[:height, :width]
    coordinates = np.stack([y, x, 0 * x], 2).astype(np.uint8)
    for seed in range(4):
        out = crop(coordinates, rng(seed)).astype(float)
        assert np.ptp(out[..., 0]) == pytest.approx(height / 6, abs=1.5)
        assert np.ptp(out[..., 1]) == pytest.approx(width / 6, abs=1.5)
        slope = np.polyfit(np.arange(width), out[50, :, 1], 1)[0]
        assert slope == pytest.approx(1 / 6, rel=0.02)


@pytest.mark.parametrize(
    'name', [name for name, s in SHIFTS.items() if s.content == MOVED]
)
@pytest.mark.parametrize('size', [(96, 160), (61, 83)])
def test_masks_move_with_the_content(name, size):
    """A mask that says which pixels are bright still does afterwards, at
    the size of the image and at another."""
    canvas = np.zeros((192, 320), np.uint8)
    cv2.circle(canvas, (200, 60), 55, 1, -1)
    cv2.rectangle(canvas, (10, 120), (90, 180), 1, -1)
    image = cv2.resize(
        np.repeat(canvas[..., None] * 255, 3, 2),
        size[::-1],
        interpolation=cv2.INTER_AREA,
    )
    function = SHIFTS[name].function
    for seed in range(4):
        moved = function(image, rng(seed))[..., 0] > 127
        mask = function(canvas, rng(seed))
        assert set(np.unique(mask)) <= {0, 1}
        mask = cv2.resize(mask * 255, size[::-1], interpolation=cv2.INTER_AREA)
        assert ((mask > 127) == moved).mean() > 0.96


def test_shuffled_keeps_every_tile():
    image = rng().integers(0, 256, (64, 48, 3), np.uint8)
    out = shuffled(image, rng(5))

    def tiles(array):
        rows = array.reshape(8, 8, 8, 6, 3).swapaxes(1, 2).reshape(64, -1)
        return sorted(map(bytes, rows))

    assert tiles(out) == tiles(image)
