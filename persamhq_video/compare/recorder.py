"""Recorder of a comparison: per frame it writes masks, scores and the side-by-side video, and collects the measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from persamhq_video.compare.annotations import Annotations
from persamhq_video.compare.disagreements import Disagreements, data_uri
from persamhq_video.compare.folder import VIDEO
from persamhq_video.compare.metrics import Agreement, StrategyMetrics
from persamhq_video.compare.shared_tracker import CombinedResult
from persamhq_video.compare.tile_grid import COLOURS, Grid, painted_tiles, part_around, shrunk
from persamhq_video.errors import OutputError
from persamhq_video.io import (
    H264,
    MonotonicTimestamps,
    ScoresWriter,
    SegmentedVideo,
    h264_picture,
    paint,
    table_rows,
    write_label_png,
)
from persamhq_video.types import Frame, SourceInfo

__all__ = ["Recorder", "recording"]

_SMALL_WIDTH: Final = 330
"""Width in pixels of the pictures on the page, of which up to five stand in a row of 1120 pixels."""
_GREY: Final = 238
"""Light grey that stands for a missing annotation."""
_CODEC: Final = replace(H264, options={**H264.options, "preset": "ultrafast", "crf": "20"})
"""The overlay's codec at a third of the time: it is a video to look at, not a result."""

Picture = NDArray[np.uint8]


class Recorder:
    """Takes in the results of all strategies frame by frame, in order; `recording` opens and closes it.

    `info` is the source, `first` the label map (H, W) of the first frame, and `names` are those of the strategies;
    `source_frame` gives the number in the source of an output frame.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        info: SourceInfo,
        first: Picture,
        annotations: Annotations | None,
        source_frame: Callable[[int], int],
    ) -> None:
        self.metrics = [StrategyMetrics() for _ in names]
        self.agreement = Agreement(len(names))
        self.disagreements = Disagreements()
        self.frame_names: list[str] = []
        self.poster = ""
        self._folder, self._names, self._first, self._annotations = folder, tuple(names), first, annotations
        self._source_frame = source_frame
        self._scores = [ScoresWriter(folder / name / "scores.csv") for name in names]
        self._times = MonotonicTimestamps(info.time_base, start=info.start)
        self._small = (max(1, round(_SMALL_WIDTH * info.height / info.width)), _SMALL_WIDTH)

        # The grid of the video: the source and a tile per strategy; titles are drawn once
        self._grid = Grid.around(len(names) + 1, size=(info.height, info.width))
        colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
        self._titled = self._grid.titled(["source", *names], [None, *colours])
        height, width = self._grid.size
        self._video = SegmentedVideo(
            _CODEC, info=replace(info, height=height, width=width), folder=folder / ".segments"
        )

    def open(self, stack: ExitStack) -> None:
        """Open the files; `stack` closes them, or leaves nothing of them after an error."""
        for scores in self._scores:
            stack.enter_context(scores)
        stack.callback(self._video.abandon)

    def add(self, frame: Frame, combined: CombinedResult) -> None:
        """Write and measure the next frame."""
        # Masks and scores of each strategy
        self.frame_names.append(frame.name)
        for name, result, scores in zip(self._names, combined.results, self._scores, strict=True):
            write_label_png(self._folder / name / "masks" / f"{frame.name}.png", result.labels)
            scores.write(table_rows(result, source_frame=self._source_frame(frame.index)))

        # The picture of all side by side
        labels = [result.labels for result in combined.results]
        picture = self._grid.filled(self._titled, painted_tiles(frame.image, labels, size=self._grid.tile))
        time = self._times(frame.pts, frame.time_base)
        self._video.write(frame.index, time, lambda: h264_picture(picture))

        self._measure(frame, combined)
        # The second frame is a better poster than the first, whose masks are given; a video may have one frame only
        if frame.index <= 1:
            self.poster = data_uri(picture)

    def finish(self) -> None:
        """Complete the video, after the last frame."""
        self._video.finish()
        self._video.join(self._folder / VIDEO, len(self.frame_names))

    def _measure(self, frame: Frame, combined: CombinedResult) -> None:
        for metrics, result, seconds in zip(self.metrics, combined.results, combined.seconds, strict=True):
            metrics.add(result, seconds)
        # On the first frame all masks are the given ones.
        if frame.index:
            agreement = self.agreement.add(combined)
            self.disagreements.add(frame.index, frame.name, agreement, lambda: self._small_pictures(frame, combined))

    def _small_pictures(self, frame: Frame, combined: CombinedResult) -> list[Picture]:
        """The source, the annotation where there are any, and each strategy, cropped around the strategies' masks."""
        labels = [result.labels for result in combined.results]
        source, *found = painted_tiles(frame.image, labels, size=frame.size)
        truth = [] if self._annotations is None else [self._annotated(frame, self._annotations)]

        # One crop for all pictures, so that they can be compared
        part = part_around(np.logical_or.reduce([one > 0 for one in labels]))
        return [shrunk(picture[part], self._small) for picture in (source, *truth, *found)]

    def _annotated(self, frame: Frame, annotations: Annotations) -> Picture:
        """The frame with its annotation painted on it; grey without one."""
        labels = annotations.display_labels(frame.name, self._first)
        return np.full_like(frame.image, _GREY) if labels is None else paint(frame.image, labels)


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """The recorder with its files open; on leaving they are complete, and errors of the disk are OutputErrors."""
    try:
        with ExitStack() as stack:
            recorder.open(stack)
            yield recorder
            recorder.finish()
    except OSError as exc:
        raise OutputError(f"results cannot be written: {exc.strerror or exc}") from exc
