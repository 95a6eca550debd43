"""The frame source `video`: a video file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from persam_hq.io.paths import is_file
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameRequest, FrameSource, FrameSourceKind

if TYPE_CHECKING:
    from persamhq_video.io import ReaderName


class Video:
    """A video file, decoded by PyAV or decord (--reader)."""

    is_live = False

    def accepts(self, text: str) -> bool:
        """See FrameSourceKind."""
        return is_file(text)

    def open(self, request: FrameRequest) -> FrameSource:
        """See FrameSourceKind."""
        from persamhq_video.io import open_video_file

        return open_video_file(Path(request.text), request.window, reader=cast("ReaderName", request.reader))


@hookimpl
def persamhq_register_frame_sources(register: Register[FrameSourceKind]) -> None:
    """Register `video`."""
    register.add("video", Video)
