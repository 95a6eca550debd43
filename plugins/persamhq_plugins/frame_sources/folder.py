"""The frame source `folder`: a folder of images."""

from __future__ import annotations

from pathlib import Path

from persam_hq.io.paths import is_folder
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameRequest, FrameSource, FrameSourceKind


class Folder:
    """A folder of images, in natural order of their names."""

    is_live = False

    def accepts(self, text: str) -> bool:
        """See FrameSourceKind."""
        return is_folder(text)

    def open(self, request: FrameRequest) -> FrameSource:
        """See FrameSourceKind."""
        # Readers are imported where they are needed, so that listing plugins is quick; so in all sources and sinks.
        from persamhq_video.io import open_folder

        return open_folder(Path(request.text), request.window, max_pixels=request.max_pixels)


@hookimpl
def persamhq_register_frame_sources(register: Register[FrameSourceKind]) -> None:
    """Register `folder`."""
    register.add("folder", Folder)
