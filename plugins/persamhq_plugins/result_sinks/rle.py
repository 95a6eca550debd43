"""The result sink `rle`: every mask as COCO's run-length code, masks.rle.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink, SinkFrame, SinkVideo


class Rle:
    """masks.rle.json: every mask as COCO's run-length code (only where asked for)."""

    needs_pictures = False

    def files(self, video: SinkVideo) -> tuple[str, ...]:
        """See ResultSink."""
        from persamhq_video.io import RLE_NAME

        del video
        return (RLE_NAME,)

    def write(self, folder: Path, video: SinkVideo, frames: Iterator[SinkFrame]) -> None:
        """See ResultSink."""
        from persamhq_video.io import RLE_NAME, write_rle

        write_rle(
            folder / RLE_NAME, frames, size=(video.info.height, video.info.width), source_frame=video.source_frame
        )


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `rle`."""
    register.add("rle", Rle)
