"""What is written while the frames come: each strategy's masks and scores, and the video of all side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from persamhq_video.compare.annotations import Annotations
from persamhq_video.compare.disagreements import Moments, data_uri
from persamhq_video.compare.folder import VIDEO
from persamhq_video.compare.metrics import Agreement, Tally
from persamhq_video.compare.shared_tracker import ComparedResult
from persamhq_video.compare.tile_grid import COLOURS, Grid, painted_tiles, part_around, shrunk
from persamhq_video.errors import OutputError
from persamhq_video.io import (
    H264,
    RisingTimes,
    ScoresWriter,
    SegmentedVideo,
    h264_picture,
    paint,
    score_rows,
    write_label_png,
)
from persamhq_video.types import Frame, SourceInfo

__all__ = ["Recorder", "recording"]

_SMALL_WIDTH: Final = 330
"""Of the pictures on the page."""
_GREY: Final = 238
_CODEC: Final = replace(H264, options={**H264.options, "preset": "ultrafast", "crf": "20"})
"""As the overlay's, but coding costs a third: it is a video to look at, not a result."""

Picture = NDArray[np.uint8]


class Recorder:
    """Takes in compared frames in order; see `recording`."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        info: SourceInfo,
        first: Picture,
        annotations: Annotations | None,
    ) -> None:
        self.tallies = [Tally() for _ in names]
        self.agreement = Agreement(len(names))
        self.moments = Moments()
        self.frame_names: list[str] = []
        self.poster = ""
        self._folder, self._names, self._first, self._annotations = folder, tuple(names), first, annotations
        self._scores = [ScoresWriter(folder / name / "scores.csv") for name in names]
        self._times = RisingTimes(info.time_base)
        size = (info.height, info.width)
        self._small = (max(1, round(_SMALL_WIDTH * info.height / info.width)), _SMALL_WIDTH)
        self._grid = Grid.around(len(names) + 1, size=size)
        colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
        self._titled = self._grid.titled(["source", *names], [None, *colours])
        height, width = self._grid.size
        self._video = SegmentedVideo(
            _CODEC, info=replace(info, height=height, width=width), folder=folder / ".segments"
        )

    def open(self, stack: ExitStack) -> None:
        """Begin the files; `stack` closes them, or leaves nothing of them after an error."""
        for scores in self._scores:
            stack.enter_context(scores)
        stack.callback(self._video.abandon)

    def add(self, frame: Frame, compared: ComparedResult) -> None:
        """The next frame."""
        self.frame_names.append(frame.name)
        for name, result, scores in zip(self._names, compared.results, self._scores, strict=True):
            write_label_png(self._folder / name / "masks" / f"{frame.name}.png", result.labels)
            scores.write(score_rows(result))
        labels = [result.labels for result in compared.results]
        picture = self._grid.filled(self._titled, painted_tiles(frame.image, labels, size=self._grid.tile))
        time = self._times(frame.pts, frame.time_base)
        self._video.write(frame.index, time, lambda: h264_picture(picture))
        self._measure(frame, compared)
        if frame.index <= 1:
            self.poster = data_uri(picture)

    def finish(self) -> None:
        """All frames have come."""
        self._video.finish()
        self._video.join(self._folder / VIDEO, len(self.frame_names))

    def _measure(self, frame: Frame, compared: ComparedResult) -> None:
        for tally, result, seconds in zip(self.tallies, compared.results, compared.seconds, strict=True):
            tally.add(result, seconds)
        if frame.index:
            agreement = self.agreement.add(compared)
            self.moments.offer(frame.index, frame.name, agreement, lambda: self._small_pictures(frame, compared))

    def _small_pictures(self, frame: Frame, compared: ComparedResult) -> list[Picture]:
        """The source, the annotation where there are any, and the strategies, where any of these has an object."""
        labels = [result.labels for result in compared.results]
        source, *found = painted_tiles(frame.image, labels, size=frame.size)
        truth = [] if self._annotations is None else [self._annotated(frame, self._annotations)]
        part = part_around(np.logical_or.reduce([one > 0 for one in labels]))
        return [shrunk(picture[part], self._small) for picture in (source, *truth, *found)]

    def _annotated(self, frame: Frame, annotations: Annotations) -> Picture:
        """The frame with its annotation; without one it is grey."""
        labels = annotations.shown(frame.name, self._first)
        return np.full_like(frame.image, _GREY) if labels is None else paint(frame.image, labels)


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """The recorder with its files open; they are whole on leaving, and errors of the disk are OutputErrors."""
    try:
        with ExitStack() as stack:
            recorder.open(stack)
            yield recorder
            recorder.finish()
    except OSError as exc:
        raise OutputError(f"results cannot be written: {exc.strerror or exc}") from exc
