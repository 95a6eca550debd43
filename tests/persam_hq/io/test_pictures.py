"""Orientation of picture files: the same from the header as in the decoded picture, wherever a file has it."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from persam_hq.io.images import read_image
from persam_hq.io.pictures import open_upright, read_header

STORED = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4) * 10
TURNS = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a.T, 2)}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def as_exif(orientation):
    return chunk(b"eXIf", exif_of(orientation).removeprefix(b"Exif\0\0"))


def as_xmp(orientation):
    text = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text.encode())


def as_imagemagick_writes_it(orientation):
    data = exif_of(orientation)
    return chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n" % len(data) + data.hex().encode())
    )


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("write", [as_exif, as_xmp, as_imagemagick_writes_it])
def test_a_png_is_turned_wherever_it_says_so(write, before, orientation, tmp_path):
    file = io.BytesIO()
    Image.fromarray(STORED).save(file, "PNG")
    data, place = file.getvalue(), file.getvalue().index(before) - 4
    path = tmp_path / "a.png"
    path.write_bytes(data[:place] + write(orientation) + data[place:])

    upright = TURNS[orientation](STORED)
    np.testing.assert_array_equal(np.asarray(open_upright(path)), upright)
    np.testing.assert_array_equal(read_image(path)[:, :, 0], upright)
    header = read_header(path)
    assert (header.height, header.width) == upright.shape


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_nonsense_is_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(STORED).save(tmp_path / "a.png", exif=exif)
    assert (read_header(tmp_path / "a.png").height, open_upright(tmp_path / "a.png").height) == (6, 6)
