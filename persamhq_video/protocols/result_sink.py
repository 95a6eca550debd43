"""What a result sink is: something that makes files of the frames that a run has committed."""

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
    """The video that files are made of: what its source is, and the objects that are followed, in rising order.

    `matte_codec` is the option of that name (h264, ffv1 or prores).
    """

    info: SourceInfo
    object_ids: tuple[int, ...]
    matte_codec: str = "h264"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SinkFrame(FrameResult):
    """A committed frame: its label map, and a record an object whose numbers have the six decimals of scores.csv.

    `image` is the picture, (H, W, 3) uint8 RGB, where the sink asked for pictures, else None.
    """

    image: NDArray[np.uint8] | None = None


@runtime_checkable
class ResultSink(Protocol):
    """Writes its files in one go, once all frames of a video are committed; it keeps nothing in between.

    A run that was killed while it wrote calls it again, in an empty folder, so it never sees a frame twice in one
    call and need not know of resuming. The same frames should give the same bytes.
    """

    needs_pictures: bool
    """True if it reads `image`; the video is decoded once more for it, which a stream refuses."""

    def files(self, video: SinkVideo) -> Sequence[str]:
        """The files that it will write, as paths in the folder of the run, such as `boxes.json`."""
        ...

    def write(self, folder: Path, video: SinkVideo, frames: Iterator[SinkFrame]) -> None:
        """Write those files into `folder`, which is aside; each gets its place once all of them are whole.

        `frames` are all that are committed, in order, each once. Whatever is raised ends the run with exit code 3.
        """
        ...


@runtime_checkable
class VideoSink(Protocol):
    """Makes videos that are coded while the frames come, in segments that survive a kill."""

    def videos(self, video: SinkVideo) -> Mapping[str, Any]:
        """What is coded into which file: a `persamhq_video.io.VideoKind` by path in the folder of the run."""
        ...


@runtime_checkable
class LabelMapSink(Protocol):
    """Keeps the committed label maps themselves as files; a run has them anyway, and hides them without such a sink."""

    keeps_label_maps: bool


AnySink = ResultSink | VideoSink | LabelMapSink
