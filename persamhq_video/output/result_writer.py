"""The results of one video on their way to the disk: committed frame by frame, made into files at the end.

It stands between `pipeline.video_run`, whose writing thread calls it, and the journal, the snapshots, the segments of
videos and the sinks, which it keeps in step.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persam_hq.io.atomic import read_limited
from persamhq_video.errors import DecodeError, InputError, OutputError, PersamHQVideoError
from persamhq_video.io import (
    MonotonicTimestamps,
    ResultVideoKind,
    SegmentedVideo,
    VideoKind,
    atomic_write,
    label_png,
    read_label_png,
    read_score_rows,
    score_rows,
)
from persamhq_video.output.finished_run import LARGEST_MASK, FinishedRun
from persamhq_video.output.journal import CommittedFrame, Journal
from persamhq_video.output.run_directory import LABEL_FOLDER, RunDirectory
from persamhq_video.output.sinks import SinkPlan, sinking, write_files
from persamhq_video.output.snapshots import Snapshots
from persamhq_video.protocols.result_sink import SinkFrame
from persamhq_video.types import CallKind, Frame, FrameResult

__all__ = ["ResultWriter"]


class ResultWriter:
    """Commits the frames of one video, and makes the files of them.

    Only `begun` may be called from several threads. Every file and every line is on the disk whole or not at all, so
    the run may end at any moment; another one, opened on the same folder, goes on after the newest snapshot.
    call_timeout: seconds after which a sink that does not get on counts as hanging.
    """

    def __init__(
        self,
        sinks: SinkPlan,
        directory: RunDirectory,
        *,
        identity: Mapping[str, Any],
        state_types: Sequence[type],
        pictures: Callable[[], Iterator[Frame]],
        call_timeout: float | None = None,
    ) -> None:
        self._sinks, self._directory, self._identity = sinks, directory, identity
        self._info = info = sinks.video.info
        self._pictures, self._call_timeout = pictures, call_timeout

        # What is committed frame by frame, and what a resumed run starts from
        self._journal = Journal(directory.journal_path)
        self._snapshots = Snapshots(directory.hidden, state_types)
        self._times = MonotonicTimestamps(info.time_base, start=info.start)

        # Videos are coded in segments, each whole or not there
        segments = directory.hidden / "segments"
        self._videos = {
            name: SegmentedVideo(kind.codec, info=info, folder=segments / name.replace("/", "-"))
            for name, kind in sinks.kinds.items()
        }
        self._writers = dict(sinks.writers)
        self._committed = 0
        self._finished_rows: Iterator[str] = iter(())
        self.next_index = 0
        """The first frame that has to be tracked."""
        self.safe_until = -1
        """The last frame that need not be tracked again if the run is killed now."""
        self.state: Any | None = None
        """The state after the frame before, where there is one."""
        self.decode_from = 0
        """The first frame whose pixels are needed, because its segment of a video was not finished."""

    @property
    def committed(self) -> int:
        """Frames that need not be tracked again, over all attempts."""
        return self._committed

    @property
    def totals(self) -> Mapping[str, int]:
        """What was begun, over all attempts; work that a killed run began is counted as begun."""
        begun = self._journal.begun
        counts = {"frames_tracked": begun["track"], "frames_encoded": begun["encode"]}
        return {**counts, "attempts": self._journal.attempts}

    def open(self) -> None:
        """Make the folder, or go on with the run that is in it."""
        self._directory.open()
        self._journal.open(self._identity, schema=self._snapshots.schema)
        if self._directory.resumes:
            self._resume()
        elif self._directory.finished is not None and self._directory.decision == "remake":
            self._build_on(self._directory.finished)

    def begun(self, kind: CallKind, index: int) -> None:
        """Record that a frame is about to be encoded or tracked; any thread may."""
        self._journal.begin(kind, index)

    def replay(self, frame: Frame) -> None:
        """Code a committed frame again, for the segments that were not finished."""
        entry = self._journal.committed(frame.index)
        if entry is None and self._directory.decision == "remake":
            entry = self._take_over(frame)
        assert entry is not None, f"frame {frame.index} was never committed"
        path = self._mask_path(entry.name)
        with _as_output_error(f"frame {frame.index} cannot be read back"):
            labels = read_label_png(path)
        self._code(frame, _result_of(frame, labels, entry), entry.ticks)

    def commit(self, frame: Frame, result: FrameResult) -> None:
        """Put a frame's label map on the disk, then record it, then code its pictures; frames come in order."""
        assert frame.index == self._committed, f"got frame {frame.index}, expected {self._committed}"

        # The label map first: what the journal records is always there
        image, name = label_png(result.labels), self._name_of(frame)
        with _as_output_error(f"frame {frame.index} cannot be written"):
            atomic_write(self._claim_mask(name, image), image)
        entry = self._entry(frame, image, score_rows(result))
        self._journal.commit(entry)
        self._committed = frame.index + 1

        # The videos last: a segment that a kill cuts off is coded again from the label maps
        self._code(frame, result, entry.ticks)

    def snapshot(self, index: int, state: Any) -> None:
        """Keep the state after frame `index`, which is committed."""
        assert index < self._committed, f"frame {index} is not committed"
        self._journal.sync()
        self._snapshots.save(index, state)
        self.safe_until = index

    def finish(self) -> None:
        """Make the files of a video that is complete; the complete record then ends the run (`write_record`)."""
        found = sum(1 for _ in self._journal.frames())
        if found != self._committed:
            raise OutputError(f"got {found} frames from the source, expected {self._committed} as in the complete run")
        for video in self._videos.values():
            video.finish()
        self._make_files()
        self._journal.close()

    def stop(self, *, keep_going: bool) -> None:
        """End this attempt so that another can go on.

        With `keep_going`, for a run that failed, the files are made of the frames there are; else nothing is left that
        looks complete.
        """
        try:
            if keep_going and self._committed:
                for video in self._videos.values():
                    video.pause()
                self._make_files()
        finally:
            for video in self._videos.values():
                video.abandon()
            with contextlib.suppress(OutputError):  # the disk is full; what is in the journal stays
                self._journal.sync()
            self._journal.close()

    def _resume(self) -> None:
        # Go on after the newest state whose frames are all on the disk; without one, from the start
        last = self._last_whole_frame()
        for index, state in self._snapshots.newest_first():
            if index <= last:
                self.state, self.next_index = state, index + 1
                break
        self._snapshots.remove_after(self.next_index - 1)

        # Times rise from where they were, and pictures are needed from the first segment that is not whole
        self._committed = self.next_index
        self.safe_until = self.next_index - 1
        self._times = self._times_so_far()
        missing = [video.first_missing(self.next_index) for video in self._videos.values()]
        self.decode_from = min([self.next_index, *missing])

    def _build_on(self, finished: FinishedRun) -> None:
        """Track nothing: all frames are those of a complete run, and only the files that it lacks are made."""
        missing = set(self._directory.missing)
        self._videos = {name: video for name, video in self._videos.items() if name in missing}
        self._writers = {
            name: sink for name, sink in self._writers.items() if missing.intersection(self._sinks.files_of(name))
        }
        self._finished_rows = finished.rows()
        self._committed = self.next_index = finished.num_frames
        self.safe_until = finished.num_frames - 1

    def _take_over(self, frame: Frame) -> CommittedFrame:
        """Commit a frame of the complete run; they come in order."""
        finished = self._directory.finished
        assert finished is not None
        with _as_output_error(f"frame {frame.index} cannot be read back"):
            image, rows = finished.label_image(self._name_of(frame)), next(self._finished_rows, "")
        entry = self._entry(frame, image, rows)
        self._journal.commit(entry)
        return entry

    def _entry(self, frame: Frame, image: bytes, rows: str) -> CommittedFrame:
        return CommittedFrame(
            index=frame.index,
            name=self._name_of(frame),
            pts=frame.pts,
            time_base=frame.time_base,
            ticks=self._times(frame.pts, frame.time_base),
            crc=zlib.crc32(image),
            rows=rows,
        )

    def _last_whole_frame(self) -> int:
        """The last frame up to which every label map is on the disk as it was committed, -1 if there is none."""
        last = -1
        for entry in self._journal.frames():
            try:
                content = read_limited(self._mask_path(entry.name), limit=LARGEST_MASK)
            except OSError:
                break
            if zlib.crc32(content) != entry.crc:
                break
            last = entry.index
        return last

    def _times_so_far(self) -> MonotonicTimestamps:
        first, last = self._journal.committed(0), self._journal.committed(self.next_index - 1)
        if first is None or last is None:
            return MonotonicTimestamps(self._info.time_base, start=self._info.start)
        return MonotonicTimestamps.after(
            self._info.time_base,
            first_pts=first.pts,
            first_base=first.time_base,
            last=last.ticks,
            start=self._info.start,
        )

    def _code(self, frame: Frame, result: FrameResult, ticks: int) -> None:
        """Code a frame's picture in every video that is made frame by frame."""
        for name, video in self._videos.items():
            with sinking(self._sinks.owners[name]):
                video.write(frame.index, ticks, partial(_picture_of, self._sinks.kinds[name], frame.image, result))

    def _make_files(self) -> None:
        # The videos, whose segments are coded already
        for name, video in self._videos.items():
            video.join(self._directory.claim(name), self._committed)

        # The sinks that write at the end; one that fails does not keep the others from their turn
        failures: list[PersamHQVideoError] = []
        for name, sink in self._writers.items():
            try:
                with contextlib.closing(self._sunk_frames(with_pictures=sink.needs_pictures)) as frames:
                    write_files(
                        name,
                        sink,
                        files=self._sinks.files_of(name),
                        video=self._sinks.video,
                        frames=frames,
                        directory=self._directory,
                        limit=self._call_timeout,
                    )
            except PersamHQVideoError as exc:
                failures.append(exc)
        if failures:
            raise failures[0]

    def _sunk_frames(self, *, with_pictures: bool) -> Generator[SinkFrame, None, None]:
        """Every committed frame as a sink gets it."""
        pictures = self._pictures() if with_pictures else None
        for entry in self._journal.frames(self._committed):
            with _as_output_error(f"frame {entry.index} cannot be read back"):
                labels = read_label_png(self._mask_path(entry.name))
            yield SinkFrame(
                index=entry.index,
                pts=entry.pts,
                time_base=entry.time_base,
                name=entry.name,
                labels=labels,
                objects=read_score_rows(entry.rows),
                image=None if pictures is None else _picture(pictures, entry.index),
                source_frame=self._sinks.video.source_frame(entry.index),
            )

    def _name_of(self, frame: Frame) -> str:
        """The stem of a frame's files: a folder's frames keep their names, others have a number."""
        # The readers number from 0 in output order; where it is a name of the source's own, it stays
        is_number = self._info.kind != "folder" and frame.name == f"{frame.index:05d}"
        if is_number and self._sinks.video.numbered_by_source:
            return f"{self._sinks.video.source_frame(frame.index):05d}"
        return frame.name

    def _mask_path(self, name: str) -> Path:
        return self._directory.path / self._mask_name(name)

    def _mask_name(self, name: str) -> str:
        """Where label maps are not asked for they are kept until the run is complete."""
        is_visible = self._sinks.keeps_labels or self._directory.decision == "remake"
        folder = LABEL_FOLDER if is_visible else f"{self._directory.hidden.name}/{LABEL_FOLDER}"
        return f"{folder}/{name}.png"

    def _claim_mask(self, name: str, image: bytes) -> Path:
        """The path of a label map; a file of somebody else is never replaced.

        A power failure may take the claim and leave the file, so one with these very bytes is taken for the run's.
        """
        file_name = self._mask_name(name)
        path = self._directory.path / file_name
        if not self._sinks.keeps_labels:
            return path
        is_foreign = not self._directory.owns(file_name) and os.path.lexists(path)
        if is_foreign and (path.is_symlink() or path.read_bytes() != image):
            raise OutputError(f"{path} is there and no run wrote it; move it away, or use another --out")
        return self._directory.claim(file_name)


def _result_of(frame: Frame, labels: NDArray[np.uint8], entry: CommittedFrame) -> FrameResult:
    """The result of a committed frame, as far as its label map and its rows tell."""
    return FrameResult(frame.index, frame.pts, frame.time_base, entry.name, labels, read_score_rows(entry.rows))


def _picture_of(kind: VideoKind, image: NDArray[np.uint8], result: FrameResult) -> Any:
    """The picture of a frame in one of the videos, in the format of its codec."""
    if isinstance(kind, ResultVideoKind):
        return kind.result_picture(image, result)
    return kind.picture(image, result.labels)


def _picture(pictures: Iterator[Frame], index: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of the next frame, which was there before."""
    frame = next(pictures, None)
    if frame is None:
        raise DecodeError(f"frame {index} did not come when the video was decoded again for a sink", frame=index)
    return frame.image


@contextlib.contextmanager
def _as_output_error(what: str) -> Iterator[None]:
    """Raise what goes wrong with a file as an OutputError that begins with `what`."""
    try:
        yield
    except (OSError, InputError) as exc:
        raise OutputError(f"{what}: {exc}") from exc
