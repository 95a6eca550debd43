"""Names of streams and cameras, and the input and options of FFmpeg that each one means."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Final

from persam_hq.io.text.shown_text import redact_secrets
from persamhq_video.errors import ConfigError

_SCHEMES: Final = frozenset(
    {"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"},
)
_CAMERA: Final = "camera:"
_DEVICE_FILE: Final = re.compile(r"/dev/video\d+")
# A letter and up to four more characters, so that the number in "cam.1" or an address such as 10.0.0.5 stays.
_SUFFIX: Final = re.compile(r"(?<=[^.])\.[A-Za-z][A-Za-z0-9]{1,4}$")
_CAMERA_FORMATS: Final = {"linux": "v4l2", "darwin": "avfoundation"}
"""FFmpeg's input device for cameras, by `sys.platform`; Windows names cameras, not numbers them."""


@dataclass(frozen=True, slots=True)
class FFmpegInput:
    """An input of FFmpeg: a file or URL, the format where FFmpeg cannot infer it, and options."""

    file: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def is_stream_name(text: str) -> bool:
    """Whether a text is the URL of a stream, `camera:...`, or the device file of a camera."""
    scheme, colon, _ = text.partition("://")
    is_url = bool(colon) and scheme.lower() in _SCHEMES
    return is_url or text.startswith(_CAMERA) or _DEVICE_FILE.fullmatch(text) is not None


def ffmpeg_input(text: str, *, platform: str = sys.platform) -> FFmpegInput:
    """The input that a name means: a URL itself, `camera:0` a camera, `camera:FORMAT:DEVICE` any device of FFmpeg's."""
    if _DEVICE_FILE.fullmatch(text):
        return FFmpegInput(text, _CAMERA_FORMATS["linux"])
    if text.startswith(_CAMERA):
        return _camera(text, text.removeprefix(_CAMERA), platform)
    # RTSP prefers UDP, whose lost packets would leave damage in the picture.
    is_rtsp = text.lower().startswith(("rtsp://", "rtsps://"))
    return FFmpegInput(text, options={"rtsp_flags": "prefer_tcp"} if is_rtsp else {})


def redact_password(text: str) -> str:
    """A URL as it may be written to logs and records; see `redact_secrets`."""
    return redact_secrets(text)


def input_stem(text: str) -> str:
    """The name for results and masks of an input that is no path: its last part, as a file name."""
    # The last part of the path of a URL, without query, fragment and suffix; only characters that any disk takes
    last = re.split(r"[?#]", redact_secrets(text).partition("://")[2] or text)[0].rstrip("/").rpartition("/")[2]
    # What comes before the host is nobody's business, not even as a file name
    last = last.rpartition("@")[2] if "***@" in last else last
    return re.sub(r"[^\w.-]+", "-", _SUFFIX.sub("", last)).strip("-.") or "stream"


def _camera(text: str, device: str, platform: str) -> FFmpegInput:
    """The input for the part after `camera:`: FORMAT:DEVICE, or the number of a camera."""
    format_name, colon, rest = device.partition(":")
    if colon and rest:
        return FFmpegInput(rest, format_name)
    if device.isdecimal() and platform in _CAMERA_FORMATS:
        file = f"/dev/video{device}" if platform == "linux" else device
        return FFmpegInput(file, _CAMERA_FORMATS[platform])
    raise ConfigError(
        f"got the camera {text!r}; expected camera:0 (Linux and macOS) or camera:FORMAT:DEVICE with a format of"
        " FFmpeg's devices, such as camera:v4l2:/dev/video0 or camera:dshow:video=NAME"
    )
