"""Files that end in the middle of a frame which FFmpeg leaves out: they fail, and whole ones do not."""

from __future__ import annotations

import av
import numpy as np
import pytest

from persamhq_video.errors import DecodeError
from persamhq_video.io import open_source
from persamhq_video.io.readers.cut_files import ends_in_a_frame

Y4M = {"codec": "wrapped_avframe", "format": "yuv4mpegpipe"}
FLV = {"codec": "flv", "format": "flv"}


def write(path, *, codec, format, pixels="yuv420p", size=(63, 37), count=6):  # noqa: A002 - FFmpeg's word
    with av.open(str(path), "w", format=format, options={"strict": "-1"}) as container:
        stream = container.add_stream(codec, rate=25, options={"strict": "-1"})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        noise = np.random.default_rng(0).integers(0, 255, (count, size[1], size[0], 3), dtype=np.uint8)
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "kind",
    [Y4M, {**Y4M, "pixels": "yuv444p"}, {**Y4M, "pixels": "gray"}, {**Y4M, "pixels": "yuv420p10le"}, FLV],
    ids=["420", "444", "grey", "10 bits", "flv"],
)
class TestFormats:
    def test_a_whole_file(self, kind, tmp_path):
        assert len(list(open_source(write(tmp_path / "a", **kind)).frames())) == 6

    @pytest.mark.parametrize("share", [0.45, 0.75, 0.97])
    def test_a_file_that_is_cut_short(self, kind, share, tmp_path):
        path = write(tmp_path / "a", **kind)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        with pytest.raises(DecodeError, match=r"frame \d missing or broken: (the file ends|its packet is cut)"):
            list(open_source(path).frames())


def test_other_formats_are_not_looked_into(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"FLV")
    assert not ends_in_a_frame(tmp_path / "a.mp4", format_name="mov,mp4", frame_bytes=10)
    assert not ends_in_a_frame(tmp_path / "a.mp4", format_name="flv", frame_bytes=10)
