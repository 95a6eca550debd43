"""The result sink `scores`: one row per object and frame, scores.csv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import AnySink, SinkFrame, SinkVideo


class Scores:
    """scores.csv: a row an object and frame: state, scores, area, box."""

    needs_pictures = False

    def files(self, video: SinkVideo) -> tuple[str, ...]:
        """See ResultSink."""
        del video
        return ("scores.csv",)

    def write(self, folder: Path, video: SinkVideo, frames: Iterator[SinkFrame]) -> None:
        """See ResultSink."""
        from persamhq_video.io import ScoresWriter, table_rows

        with ScoresWriter(folder / "scores.csv") as scores:
            for frame in frames:
                scores.write(table_rows(frame, source_frame=video.source_frame(frame.index)))


@hookimpl
def persamhq_register_result_sinks(register: Register[AnySink]) -> None:
    """Register `scores`."""
    register.add("scores", Scores)
