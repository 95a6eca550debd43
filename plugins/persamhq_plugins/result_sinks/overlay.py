"""The result sink `overlay`: the source with coloured masks and outlines, overlay.mp4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink, SinkVideo


class OverlayVideo:
    """overlay.mp4: the source with coloured, outlined and named masks (H.264)."""

    def videos(self, video: SinkVideo) -> Mapping[str, Any]:
        """See VideoSink."""
        from persamhq_video.io import Overlay

        return {"overlay.mp4": Overlay(source_frame=video.source_frame)}


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `overlay`."""
    register.add("overlay", OverlayVideo)
