"""Names of streams and cameras: FFmpeg's input for each, file names, and passwords."""

import pytest

from persamhq_video.errors import ConfigError
from persamhq_video.io.readers.stream_url import ffmpeg_input, input_stem, is_stream_name, redact_password


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("rtsp://user:word@10.0.0.7/stream1", True),
        ("https://host/a.m3u8?token=x", True),
        ("udp://239.0.0.1:1234", True),
        ("camera:1", True),
        ("/dev/video12", True),
        ("/dev/video", False),
        ("file:///clip.mp4", False),
        ("clips/*.mp4", False),
        ("take:2.mp4", False),
    ],
)
def test_what_is_a_stream(text, is_name):
    assert is_stream_name(text) == is_name


@pytest.mark.parametrize(
    ("text", "platform", "file", "format_name"),
    [
        ("camera:0", "linux", "/dev/video0", "v4l2"),
        ("camera:2", "darwin", "2", "avfoundation"),
        ("/dev/video3", "linux", "/dev/video3", "v4l2"),
        ("camera:dshow:video=My Cam", "win32", "video=My Cam", "dshow"),
        ("camera:x11grab::0.0", "linux", ":0.0", "x11grab"),
        ("http://host/a.ts", "linux", "http://host/a.ts", None),
    ],
)
def test_what_is_opened(text, platform, file, format_name):
    wanted = ffmpeg_input(text, platform=platform)
    assert (wanted.file, wanted.format, wanted.options) == (file, format_name, {})


def test_rtsp_prefers_tcp():
    assert ffmpeg_input("rtsp://host/one").options == {"rtsp_flags": "prefer_tcp"}


@pytest.mark.parametrize(("text", "platform"), [("camera:", "linux"), ("camera:front", "linux"), ("camera:0", "win32")])
def test_cameras_that_cannot_be_told(text, platform):
    with pytest.raises(ConfigError, match=r"got the camera '.*'; expected camera:0 .* or camera:FORMAT:DEVICE"):
        ffmpeg_input(text, platform=platform)


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("rtsp://10.0.0.7:554/stream1", "stream1"),
        ("http://host/days/clip.mp4?from=3#t", "clip"),
        ("udp://239.0.0.1:1234", "239.0.0.1-1234"),
        ("http://host/", "host"),
        ("camera:0", "camera-0"),
        ("/dev/video0", "video0"),
        ("camera:lavfi:testsrc=size=64x36", "camera-lavfi-testsrc-size-64x36"),
        ("://", "stream"),
    ],
)
def test_stems(text, stem):
    assert input_stem(text) == stem


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("rtsp://me:secret@host/a", "rtsp://me:***@host/a"),
        ("rtsp://me@host/a:b@c", "rtsp://***@host/a:b@c"),
        ("http://host:80/a", "http://host:80/a"),
        ("clips/a.mp4", "clips/a.mp4"),
    ],
)
def test_passwords_are_not_written_down(text, written):
    assert redact_password(text) == written
