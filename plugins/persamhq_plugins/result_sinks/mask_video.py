"""The result sink `mask-video`: the label maps as a lossless video, masks.mkv."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink, SinkVideo


class MaskVideo:
    """masks.mkv: the label maps as a lossless video (FFV1, grey level = object id)."""

    def videos(self, video: SinkVideo) -> Mapping[str, Any]:
        """See VideoSink."""
        # Readers and writers are imported where they are needed, so that listing plugins is quick.
        from persamhq_video.io import LabelVideo

        del video
        return {"masks.mkv": LabelVideo()}


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `mask-video`."""
    register.add("mask-video", MaskVideo)
