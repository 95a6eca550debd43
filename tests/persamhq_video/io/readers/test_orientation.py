"""Geometry of the source: pictures upright and unmirrored in both readers, and the aspect of pixels kept."""

from fractions import Fraction

import av
import numpy as np
import pytest

from persamhq_video.io import open_source
from persamhq_video.io.readers.container import pixel_aspect
from persamhq_video.io.readers.orientation import Orientation, UprightConverter, orientation_of

READERS = ("pyav", "decord")
ONE = 1 << 16
# Display matrices (a, b, c, d) and what a player makes of the coded picture
MATRICES = {
    "as coded": ((ONE, 0, 0, ONE), lambda image: image),
    "clockwise": ((0, ONE, -ONE, 0), lambda image: np.rot90(image, -1)),
    "half turn": ((-ONE, 0, 0, -ONE), lambda image: np.rot90(image, 2)),
    "anticlockwise": ((0, -ONE, ONE, 0), np.rot90),
    "left and right": ((-ONE, 0, 0, ONE), np.fliplr),
    "top and bottom": ((ONE, 0, 0, -ONE), np.flipud),
    "transposed": ((0, ONE, ONE, 0), lambda image: np.swapaxes(image, 0, 1)),
    "transposed the other way": ((0, -ONE, -ONE, 0), lambda image: np.swapaxes(np.rot90(image, 2), 0, 1)),
    "a hair off": ((-ONE, 400, 400, ONE), np.fliplr),
    "slanted": ((ONE, ONE, -ONE, ONE), lambda image: image),
    "doubled": ((2 * ONE, 0, 0, -2 * ONE), np.flipud),
}


def write_tagged(path, matrix, **options):
    """A clip in full chroma, so that turning before or after the conversion is the same."""
    a, b, c, d = matrix
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for number in range(3):
            image = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", MATRICES)
def test_pictures_are_shown_as_players_show_them(name, reader, tmp_path):
    matrix, shown = MATRICES[name]
    coded = list(open_source(write_tagged(tmp_path / "coded.mp4", (ONE, 0, 0, ONE))).frames())
    source = open_source(write_tagged(tmp_path / "clip.mp4", matrix), reader=reader)
    frames = list(source.frames())
    assert len(frames) == 3
    assert frames[0].size == (source.info.height, source.info.width)
    for frame, plain in zip(frames, coded, strict=True):
        np.testing.assert_array_equal(frame.image, shown(plain.image))


def test_info_tells_turn_and_mirror(tmp_path):
    info = open_source(write_tagged(tmp_path / "clip.mp4", (0, ONE, ONE, 0))).info
    assert (info.rotation, info.is_mirrored, info.width, info.height) == (90, True, 48, 64)


def test_a_picture_without_a_matrix_is_as_coded():
    assert orientation_of(av.VideoFrame(4, 4, "rgb24")) == Orientation(0, is_mirrored=False)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("matrix", "aspect"), [((ONE, 0, 0, ONE), (16, 11)), ((0, ONE, -ONE, 0), (11, 16))])
def test_the_aspect_of_pixels_is_that_of_the_upright_picture(matrix, aspect, reader, tmp_path):
    path = write_tagged(tmp_path / "clip.mp4", matrix, sample_aspect_ratio=Fraction(16, 11))
    info = open_source(path, reader=reader).info
    assert info.pixel_aspect == Fraction(*aspect)


@pytest.mark.parametrize("aspect", [None, Fraction(0), Fraction(1, 255), Fraction(1000)])
def test_nonsense_about_pixels_is_not_believed(aspect):
    class Stream:
        sample_aspect_ratio = aspect
        codec_context = av.CodecContext.create("h264", "r")

    assert pixel_aspect(Stream(), Orientation()) == 1


def test_the_pixel_format_may_change(make_clip):
    with av.open(str(make_clip(count=1))) as container:
        stream = container.streams.video[0]
        (picture,) = container.decode(stream)
        convert = UprightConverter(stream, picture)
        first, other = convert(picture), convert(picture.reformat(format="yuv422p"))
    assert np.abs(first.astype(int) - other).mean() < 4  # chroma is interpolated differently
