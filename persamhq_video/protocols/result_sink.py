"""Protocols of result sinks, which make files of the frames that a run has committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import FrameResult, SourceInfo

__all__ = ["AnySink", "LabelMapSink", "ResultSink", "SinkFrame", "SinkVideo", "VideoSink"]


@dataclass(frozen=True, slots=True)
class SinkVideo:
    """The video that files are made of: the properties of its source, and the ids of its objects in rising order.

    `matte_codec` is the option of that name (h264, ffv1 or prores). `start` and `stride` say which frames of the source
    were taken; `numbered_by_source` whether files carry its numbers.
    """

    info: SourceInfo
    object_ids: tuple[int, ...]
    matte_codec: str = "h264"
    start: int = 0
    stride: int = 1
    numbered_by_source: bool = False

    def source_frame(self, index: int) -> int:
        """The number of an output frame in its source, counted from 0."""
        return self.start + index * self.stride


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SinkFrame(FrameResult):
    """A committed frame: its label map, and a record per object, whose numbers have the six decimals of scores.csv.

    `image` is the picture, (H, W, 3) uint8 RGB, where the sink asked for pictures, else None. `source_frame` is the
    frame's number in its source, counted from 0, where `index` counts the frames that were taken.
    """

    image: NDArray[np.uint8] | None = None
    source_frame: int | None = None


@runtime_checkable
class ResultSink(Protocol):
    """Writes its files in one go, once all frames of a video are committed; it keeps nothing between calls.

    A run that was killed while the sink wrote calls it again, in an empty folder: a sink never sees a frame twice in
    one call, and need not know of resuming. The same frames should give the same bytes.
    """

    needs_pictures: bool
    """True if it reads `image`; the video is decoded once more for it, which is refused for a stream."""

    def files(self, video: SinkVideo) -> Sequence[str]:
        """The files that it will write, as paths in the folder of the run, such as `boxes.json`."""
        ...

    def write(self, folder: Path, video: SinkVideo, frames: Iterator[SinkFrame]) -> None:
        """Write those files into `folder`, a temporary one; they are moved into place once all of them are complete.

        `frames` are all committed ones in order, each once. Any error ends the run with exit code 3.
        """
        ...


@runtime_checkable
class VideoSink(Protocol):
    """Makes videos that are coded while the frames come, in segments that survive a kill."""

    def videos(self, video: SinkVideo) -> Mapping[str, Any]:
        """The videos to code: a `persamhq_video.io.VideoKind` for each path in the folder of the run."""
        ...


@runtime_checkable
class LabelMapSink(Protocol):
    """Keeps the committed label maps as files; a run writes them anyway, and hides them without such a sink."""

    keeps_label_maps: bool


AnySink = ResultSink | VideoSink | LabelMapSink
