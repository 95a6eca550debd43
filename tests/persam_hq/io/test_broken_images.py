"""Images that Pillow refuses, by whatever error, and writes that fail halfway."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.io import images
from persam_hq.io.images import read_grey, read_ids, read_image, read_mask, write_image, write_labels


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, more=b"", depth=1, kind=0, pixels=None):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100) if pixels is None else pixels))
    return b"\x89PNG\r\n\x1a\n" + header + more + data + chunk(b"IEND", b"")


def encoded(name, **options):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, name, **options)
    return buffer.getvalue()


TEXT = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(90 << 20), 1))
BROKEN = {
    "a bomb": png(50_000, 50_000),
    "a text chunk too large": png(64, 64, more=TEXT),
    "an ICC profile that is none": png(64, 64, more=chunk(b"iCCP", b"k\0\0" + b"x" * 20), pixels=b""),
    "no pixels": png(64, 64, pixels=b""),
    "a size of nothing": png(0, 64),
    "a kind of PNG that is none": png(64, 64, depth=3, kind=5),
    "half a PNG": encoded("PNG")[:2000],
    "half a JPEG": encoded("JPEG")[:900],
    "half a TIFF": encoded("TIFF")[:900],
    "half a WebP": encoded("WEBP")[:200],
    "half a GIF": encoded("GIF")[:900],
    "zeros in a PNG": encoded("PNG")[:100] + bytes(2000),
    "a TIFF that points to itself": b"II*\0\x08\0\0\0\x01\0\0\x01\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    "text": b"no image",
    "nothing": b"",
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("read", [read_image, read_mask, read_ids, read_grey])
def test_is_told_in_one_line(tmp_path, content, read):
    (tmp_path / "i.png").write_bytes(content)
    with pytest.raises(InputError, match=r"i.png cannot be read as an image \(.+\); expected a whole JPEG") as caught:
        read(tmp_path / "i.png")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 300 + ".png", "."])
def test_paths_that_no_file_can_have(tmp_path, path):
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_image(tmp_path / path)


def test_large_pictures_and_odd_tags_are_no_warnings(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # Pillow warns from here on, and refuses twice that
    (tmp_path / "i.png").write_bytes(encoded("PNG"))
    assert read_image(tmp_path / "i.png").shape == (64, 64, 3)


LABELS = np.random.default_rng(0).integers(0, 3, (96, 160), dtype=np.uint8)


@pytest.mark.parametrize(
    ("write", "name", "pixels"),
    [
        (write_labels, "m.png", LABELS),
        (write_image, "o.jpg", np.repeat(LABELS[..., None], 3, axis=2)),
        (write_image, "o.PNG", np.repeat(LABELS[..., None], 3, axis=2)),
    ],
)
def test_a_write_that_fails_leaves_the_earlier_file(tmp_path, monkeypatch, write, name, pixels):
    write(tmp_path / name, pixels)
    before = (tmp_path / name).read_bytes()

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / name, pixels[::-1])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_bytes_are_those_that_pillow_writes(tmp_path):
    pixels = np.repeat(LABELS[..., None], 3, axis=2)
    write_image(tmp_path / "ours.jpg", pixels)
    Image.fromarray(pixels).save(tmp_path / "pillows.jpg")
    assert (tmp_path / "ours.jpg").read_bytes() == (tmp_path / "pillows.jpg").read_bytes()
