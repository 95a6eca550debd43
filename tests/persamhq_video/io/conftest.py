"""Small files of every kind, made by PyAV and Pillow; nothing is read from outside the test."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from persamhq_video.types import SourceInfo

TICKS = Fraction(1, 12800)


def moving_square(count, *, height=48, width=64):
    """Noise that scrolls and a red square that walks: every frame differs from every other."""
    noise = np.random.default_rng(0).integers(0, 128, (height, width, 3), dtype=np.uint8)
    for i in range(count):
        image = np.roll(noise, i, axis=1)
        image[10:20, 10 + i : 20 + i] = (255, 0, 0)
        yield image


def write_clip(path, *, count=12, width=64, height=48, times=None, time_base=TICKS, rotation=None, **stream):
    """Encode a clip; ``rotation`` is counterclockwise degrees in the display matrix, as FFmpeg counts them."""
    codec, pixels = stream.pop("codec", "libx264"), stream.pop("pixels", "yuv420p")
    times = times or [i * 512 for i in range(count)]
    with av.open(str(path), "w", options=stream.pop("muxer", {})) as container:
        output = container.add_stream(codec, rate=25, options=stream.pop("options", {}))
        output.width, output.height, output.pix_fmt = width, height, pixels
        output.time_base = output.codec_context.time_base = time_base
        output.thread_count = 1
        for name, value in stream.items():
            setattr(output.codec_context, name, value)
        if rotation is not None:
            output.set_display_rotation(rotation)
        for image, time in zip(moving_square(count, height=height, width=width), times, strict=True):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            picture.pts, picture.time_base = time, time_base
            container.mux(output.encode(picture))
        container.mux(output.encode())
    return path


def remux(source, target, *, shift=0, muxer=None):
    """Copy the packets of a clip; a negative ``shift`` makes the muxer hide the start with an edit list."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=muxer or {}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is None:
                continue
            packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
            new.mux(packet)
    return target


@pytest.fixture
def make_clip(tmp_path):
    """Return a function that writes a clip of a given name into the test's folder."""

    def make(name="clip.mp4", **options):
        return write_clip(tmp_path / name, **options)

    return make


@pytest.fixture
def copy_packets():
    """Return the function that copies a clip packet by packet."""
    return remux


@pytest.fixture
def info_of():
    """Return a function that describes a source of a given size without there being one."""

    def make(height=48, width=64, *, time_base=TICKS, rate=Fraction(25)):
        return SourceInfo(
            path=Path("clip.mp4"),
            kind="video",
            width=width,
            height=height,
            time_base=time_base,
            frame_rate=rate,
            num_frames=None,
            rotation=0,
        )

    return make


@pytest.fixture
def reread():
    """Return a function that decodes a file into (seconds, array) pairs and its stream's properties."""

    def read(path, pixels):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = [(f.pts * f.time_base, f.to_ndarray(format=pixels)) for f in container.decode(stream)]
            return frames, (stream.codec_context.name, stream.codec_context.pix_fmt, stream.codec_context.color_range)

    return read
