"""Conversion of decoded pictures to upright 8-bit RGB, by the same arithmetic for every reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av.filter import Graph

from persamhq_video.io.readers.container import quarter_turns, time_base_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# Clockwise quarter turns to the directions of the transpose filters that make them: 1 is clockwise, 2 anticlockwise.
_TRANSPOSE_DIRECTIONS = {0: (), 1: ("1",), 2: ("1", "1"), 3: ("2",)}


class UprightConverter:
    """Turns pictures upright and converts them to RGB with one filter chain of FFmpeg.

    The chain is transpose, then scale (bicubic, to the same size), then rgb24, because that is what decord runs and
    what makes both readers equal to the last bit: turning before the conversion decides how subsampled chroma is
    interpolated, and the scale filter's defaults decide rounding and the dither from 10 bits. Colour matrix and range
    are the frame's own tags. Sample aspect ratio and mirroring are left alone.
    """

    def __init__(self, stream: VideoStream, picture: VideoFrame) -> None:
        self.size = (picture.width, picture.height)
        self.format = picture.format.name
        turns = quarter_turns(picture)
        width, height = self.size if turns % 2 == 0 else self.size[::-1]

        # One thread: a frame is small, and the engine runs several decoders at once.
        self._graph = Graph()
        self._graph.threads = 1

        # Input, turns, conversion, output
        nodes = [
            self._graph.add_buffer(
                width=self.size[0], height=self.size[1], format=picture.format, time_base=time_base_of(stream)
            )
        ]
        nodes += [self._graph.add("transpose", direction) for direction in _TRANSPOSE_DIRECTIONS[turns]]
        nodes += [self._graph.add("scale", f"{width}:{height}"), self._graph.add("format", "rgb24")]
        nodes.append(self._graph.add("buffersink"))
        self._graph.link_nodes(*nodes).configure()

    def fits(self, picture: VideoFrame) -> bool:
        """Whether a picture has the size and format this chain was built for."""
        return (picture.width, picture.height) == self.size and picture.format.name == self.format

    def __call__(self, picture: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, contiguous, upright."""
        self._graph.vpush(picture)
        image = self._graph.vpull().to_ndarray()
        return np.ascontiguousarray(image, dtype=np.uint8)
