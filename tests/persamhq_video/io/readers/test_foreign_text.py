"""Tags in other encodings than UTF-8 and names of files that are no text: the video is read as any other."""

import os

import av
import numpy as np
import pytest

from persamhq_video.errors import InputError
from persamhq_video.io import StreamSource, open_source
from persamhq_video.protocols.frame_source import FrameWindow

TAG = b"AAAAAAAAAA"


def tagged(make_clip, name, tag, *, of_stream=False):
    """A clip of three frames whose title has exactly these bytes."""
    source = make_clip("plain.mp4", count=3)
    path = source.with_name(name)
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        (stream if of_stream else new).metadata["title"] = TAG.decode()
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    content = path.read_bytes()
    assert content.count(TAG) == 1
    path.write_bytes(content.replace(TAG, tag.ljust(len(TAG))))
    return path


@pytest.mark.parametrize("reader", ["pyav", "decord"])
@pytest.mark.parametrize("of_stream", [False, True])
@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("latin-1.mkv", "Vidéo été".encode("latin-1")),
        ("shift-jis.mkv", "動画".encode("shift-jis")),
        ("cut-utf-8.mkv", "ééééé".encode()[:-1] + b"x"),
        ("bytes.mkv", bytes(range(246, 256))),
    ],
)
def test_tags_in_any_encoding(make_clip, name, tag, of_stream, reader):
    expected = [frame.image for frame in open_source(make_clip(count=3)).frames()]
    frames = list(open_source(tagged(make_clip, name, tag, of_stream=of_stream), reader=reader).frames())
    np.testing.assert_array_equal([frame.image for frame in frames], expected)


def test_tags_of_a_stream(make_clip):
    path = tagged(make_clip, "latin-1.mkv", "Vidéo été".encode("latin-1"))
    assert len(list(StreamSource(f"file:{path}", FrameWindow()).frames())) == 3


def test_a_name_that_is_no_text(make_clip):
    path = make_clip(count=3)
    renamed = path.rename(path.with_name(os.fsdecode(b"caf\xe9.mp4")))
    assert len(list(open_source(renamed).frames())) == 3
    with pytest.raises(InputError, match="decord cannot read it; use --reader pyav"):
        open_source(renamed, reader="decord")
