"""A seeded folder of files that a person would not want to meet."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

KINDS = ('JPEG', 'PNG', 'BMP', 'TIFF', 'WEBP', 'PPM')
SUFFIX = dict(
    JPEG='.jpg', PNG='.png', BMP='.bmp', TIFF='.tif', WEBP='.webp', PPM='.ppm'
)


def encoded(kind: str, rng: np.random.Generator, mode: str = 'RGB') -> bytes:
    """A small image in a format."""
    height, width = rng.integers(16, 40, 2)
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (height, width, channels)[: 2 + (channels > 1)]
    pixels = rng.integers(0, 255, shape, np.uint8)
    image = Image.frombytes(mode, (width, height), pixels.tobytes())
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def bomb(width: int, height: int, idat: bytes = b'') -> bytes:
    """A PNG that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack('>I', zlib.crc32(kind + data))
        return struct.pack('>I', len(data)) + kind + data + crc

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = chunk(b'IDAT', idat or zlib.compress(bytes(1000)))
    start = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
    return start + data + chunk(b'IEND', b'')


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, with flipped bits, with a hole, or with more behind it."""
    way = rng.integers(5)
    at = int(rng.integers(len(data)))
    if way == 0:
        return data[:at]
    if way == 1:
        return data[: len(data) - int(rng.integers(1, 12))]
    changed = bytearray(data)
    if way == 2:
        for place in rng.integers(0, len(data), rng.integers(1, 9)):
            changed[place] ^= 1 << int(rng.integers(8))
    elif way == 3:  # where sizes and kinds are declared
        for place in rng.integers(0, min(64, len(data)), 2):
            changed[place] = int(rng.integers(256))
    else:
        changed[at : at + 20] = rng.bytes(int(rng.integers(40)))
    return bytes(changed)


def animated(kind: str, **options) -> bytes:
    frames = [Image.new('RGB', (20, 16), (i * 60, 0, 0)) for i in range(4)]
    stream = io.BytesIO()
    frames[0].save(
        stream, kind, save_all=True, append_images=frames[1:], **options
    )
    return stream.getvalue()


def rotated(orientation: int) -> bytes:
    pixels = np.zeros((18, 30, 3), np.uint8)
    pixels[:9, :15] = 255  # one bright corner
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, 'JPEG', exif=exif, quality=95)
    return stream.getvalue()


def array_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.full((8, 8), np.nan, np.float32))
    return stream.getvalue()


def wide(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new('RGB', (width, height), (9, 99, 200)).save(stream, 'PNG')
    return stream.getvalue()


def sixteen_bit(kind: str) -> bytes:
    ramp = np.linspace(0, 65535, 24 * 24).reshape(24, 24).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, kind)
    return stream.getvalue()


def contents(rng: np.random.Generator) -> dict[str, bytes]:
    """Odd contents under ordinary names."""
    files = {
        'empty.jpg': b'',
        'text.png': b'no image',
        'array.png': array_file(),
        'bomb.png': bomb(60_000, 60_000),
        'bomb31.png': bomb(2**31 - 1, 2**31 - 1),
        'bomb_zeros.png': bomb(
            9000, 9000, zlib.compress(bytes(9000 * 27001), 9)
        ),
        'program.jpg': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n'
        b'(out.txt) (w) file closefile showpage\n',
        'long.png': wide(60_000, 1),
        'high.png': wide(1, 60_000),
        'one.png': wide(1, 1),
        'grey16.png': sixteen_bit('PNG'),
        'grey16.tif': sixteen_bit('TIFF'),
        'film.jpg': animated('GIF'),
        'film.png': animated('PNG'),
        'film.webp': animated('WEBP'),
        'cmyk.jpg': encoded('JPEG', rng, 'CMYK'),
        'cmyk.tif': encoded('TIFF', rng, 'CMYK'),
    }
    for mode in ('1', 'L', 'P', 'LA', 'RGBA'):
        files[f'mode_{mode}.png'] = encoded('PNG', rng, mode)
    for orientation in range(10):
        files[f'turned_{orientation}.jpg'] = rotated(orientation)
    for kind in KINDS:  # under the wrong name
        wrong = '.png' if kind != 'PNG' else '.jpg'
        files[f'wrong_{kind}{wrong}'] = encoded(kind, rng)
    return files


def names() -> list[str]:
    """Odd names of good images."""
    accent = 'caf\u00e9'
    return [
        'new\nline.png',
        'tab\t"quote\'.png',
        'back\\slash.png',
        '..png.png',
        '...png',
        '.. .png',
        '%2e%2e%2f.png',
        ' .png',
        '--help.png',
        '-rf.png',
        '.hidden.png',
        '.tmp-abcdefgh.png',
        f'{unicodedata.normalize("NFC", accent)}.png',
        f'{unicodedata.normalize("NFD", accent)}.png',
        '\U0001f600\U0001f468\u200d\U0001f469.png',
        '\u202egnp.exe.png',
        'bytes\udcff\udcfe.png',
        'Case.png',
        'case.png',
        'CASE.PNG',
        'heat.png',
        'heat_heat.png',
        'heat_heat_heat.jpg',
        'same.jpg',
        'same.png',
        'same.jpg.png',
        'same.png.jpg',
        f'{"x" * 251}.png',
        f'{"x" * 250}y.png',
        f'{"€" * 83}.png',
        'x' * 246 + '.png',
        'folder.png/inside.png',
        'folder.jpg',
        'folder_heat.png/inside.png',
        'folder.npy/inside.png',
        'a/b/c/d/e/f/deep.png',
        '/'.join(['y' * 200] * 6) + '/deeper.png',
        'CON.png',
        'manifest.json.png',
        'class/epistemic.png',
    ]


def special(folder: Path, good: bytes) -> None:
    """What is no regular file."""
    outside = folder.parent / 'outside.png'
    outside.write_bytes(good)
    (folder / 'outside.png').symlink_to(outside)
    (folder / 'dangling.png').symlink_to(folder / 'nowhere.png')
    (folder / 'loop.png').symlink_to('loop.png')
    (folder / 'loop1.png').symlink_to('loop2.png')
    (folder / 'loop2.png').symlink_to('loop1.png')
    (folder / 'around').symlink_to('.')
    (folder / 'device.png').symlink_to('/dev/zero')
    os.mkfifo(folder / 'pipe.png')
    (folder / 'empty.jpg.png').mkdir()
    (folder / 'locked.png').write_bytes(good)
    (folder / 'locked.png').chmod(0)
    (folder / 'locked').mkdir()
    (folder / 'locked' / 'in.png').write_bytes(good)
    (folder / 'locked').chmod(0)


def make_corpus(folder: Path, count: int, seed: int = 0) -> None:
    """All odd names, contents and special files, and damaged ones.

    Args:
        folder (Path): To create.
        count (int): Of all files, about.
        seed (int): Of what is random.
    """
    rng = np.random.default_rng(seed)
    files = contents(rng)
    for name in names():
        kind = 'JPEG' if name.lower().endswith('.jpg') else 'PNG'
        files[f'names/{name}'] = encoded(kind, rng)
    while len(files) < count - 12:
        kind = KINDS[rng.integers(len(KINDS))]
        name = f'damaged/{len(files)}{SUFFIX[kind]}'
        files[name] = damaged(encoded(kind, rng), rng)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    special(folder, encoded('PNG', rng))
