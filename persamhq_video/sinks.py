"""The files of a run: one sink a kind of output, opened together and written frame by frame."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from persamhq_video.config import RunConfig
from persamhq_video.errors import DecodeError, ExecutorError, OutputError
from persamhq_video.io import (
    MATTE_SUFFIXES,
    LabelVideo,
    Matte,
    Overlay,
    RisingTimes,
    ScoresWriter,
    SegmentedVideo,
    VideoKind,
    score_rows,
    write_label_png,
)
from persamhq_video.rundir import RunDirectory
from persamhq_video.types import Frame, FrameResult, SourceInfo

__all__ = ["Sinks"]


class Sink(Protocol):
    """One kind of output."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Add one frame."""

    def close(self) -> None:
        """Give the file its name."""

    def abort(self) -> None:
        """Leave no half-written file behind."""


class _Masks:
    """`masks/<frame's name>.png`; each is whole once it is there, so there is nothing to close."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def write(self, frame: Frame, result: FrameResult) -> None:
        write_label_png(self._directory.claim(f"masks/{frame.name}.png"), result.labels)

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class _Video:
    """A video that is coded beside its place and joined when it is closed."""

    def __init__(self, directory: RunDirectory, info: SourceInfo, name: str, kind: VideoKind) -> None:
        self._path = directory.claim(name)
        self._folder = directory.hidden / "segments" / name.replace("/", "-")
        self._kind, self._times, self._frames = kind, RisingTimes(info.time_base), 0
        self._video = SegmentedVideo(kind.codec, info=info, folder=self._folder)

    def write(self, frame: Frame, result: FrameResult) -> None:
        ticks = self._times(frame.pts, frame.time_base)
        self._video.write(frame.index, ticks, lambda: self._kind.picture(frame.image, result.labels))
        self._frames += 1

    def close(self) -> None:
        self._video.finish()
        self._video.join(self._path, self._frames)
        self.abort()

    def abort(self) -> None:
        self._video.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Scores:
    def __init__(self, directory: RunDirectory) -> None:
        self._writer = ScoresWriter(directory.claim("scores.csv")).open()
        self.close, self.abort = self._writer.close, self._writer.abort

    def write(self, frame: Frame, result: FrameResult) -> None:
        del frame
        self._writer.write(score_rows(result))


class Sinks:
    """All outputs of a configuration.

    Left after a source or a worker failed, the videos are closed with the frames they have; left for any other reason,
    such as an interrupt or a full disk, they are removed, and only the label images stay.
    """

    def __init__(
        self, config: RunConfig, directory: RunDirectory, *, info: SourceInfo, object_ids: Sequence[int]
    ) -> None:
        makers: dict[str, Sequence[Callable[[], Sink]]] = {
            "masks": [lambda: _Masks(directory)],
            "mask-video": [lambda: _Video(directory, info, "masks.mkv", LabelVideo())],
            "mattes": [partial(_Video, directory, info, *_matte(config, i)) for i in object_ids],
            "overlay": [lambda: _Video(directory, info, "overlay.mp4", Overlay())],
            "scores": [lambda: _Scores(directory)],
        }
        self._makers = [make for name, several in makers.items() if name in config.outputs for make in several]
        self._sinks: list[Sink] = []

    def __enter__(self) -> Self:
        try:
            for make in self._makers:
                self._sinks.append(make())
        except OSError as exc:
            self._abort()
            raise OutputError(f"cannot write: {exc}") from exc
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, DecodeError | ExecutorError):
            self._abort()
            return
        try:
            for sink in self._sinks:
                sink.close()
        except OSError as error:
            self._abort()
            raise OutputError(f"cannot finish writing: {error}") from error
        except BaseException:
            self._abort()
            raise

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Add one frame to every output."""
        try:
            for sink in self._sinks:
                sink.write(frame, result)
        except OSError as exc:
            raise OutputError(f"frame {frame.index} cannot be written: {exc}") from exc

    def _abort(self) -> None:
        for sink in self._sinks:
            sink.abort()


def _matte(config: RunConfig, object_id: int) -> tuple[str, VideoKind]:
    name = f"mattes/{object_id}{MATTE_SUFFIXES[config.matte_codec]}"
    return name, Matte(object_id, codec=config.matte_codec)
