"""A folder of images as frames."""

from __future__ import annotations

from pathlib import Path

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameRequest, FrameSource, FrameSourceKind


class Folder:
    """A folder of images, in natural order of their names."""

    is_live = False

    def accepts(self, text: str) -> bool:
        """See FrameSourceKind."""
        return Path(text).is_dir()

    def open(self, request: FrameRequest) -> FrameSource:
        """See FrameSourceKind."""
        from persamhq_video.io import open_folder

        return open_folder(Path(request.text), request.window)


@hookimpl
def persamhq_register_frame_sources(register: Register[FrameSourceKind]) -> None:
    """Offer `folder`."""
    register.add("folder", Folder)
