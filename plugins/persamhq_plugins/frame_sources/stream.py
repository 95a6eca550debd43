"""The frame source `stream`: a camera or the URL of a stream."""

from __future__ import annotations

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameRequest, FrameSource, FrameSourceKind


class Stream:
    """A camera (camera:0, /dev/video0) or a URL (rtsp://, http://, udp:// and others), as it comes, once."""

    is_live = True

    def accepts(self, text: str) -> bool:
        """See FrameSourceKind."""
        from persamhq_video.io.readers.stream_url import is_stream_name

        return is_stream_name(text)

    def open(self, request: FrameRequest) -> FrameSource:
        """See FrameSourceKind."""
        from persamhq_video.io import StreamSource

        return StreamSource(request.text, request.window)


@hookimpl
def persamhq_register_frame_sources(register: Register[FrameSourceKind]) -> None:
    """Register `stream`."""
    register.add("stream", Stream)
