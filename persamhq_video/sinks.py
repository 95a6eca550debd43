"""The files of a run: one sink a kind of output, opened together and written frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from persamhq_video.config import RunConfig
from persamhq_video.errors import DecodeError, ExecutorError, OutputError
from persamhq_video.io import (
    MATTE_SUFFIXES,
    LabelVideoWriter,
    MatteWriter,
    OverlayWriter,
    ScoresWriter,
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


class _MaskVideo:
    def __init__(self, directory: RunDirectory, info: SourceInfo) -> None:
        self._writer = LabelVideoWriter(directory.claim("masks.mkv")).open(info)
        self.close, self.abort = self._writer.close, self._writer.abort

    def write(self, frame: Frame, result: FrameResult) -> None:
        self._writer.write(result.labels, pts=frame.pts, time_base=frame.time_base)


class _Matte:
    """`mattes/<id>.mp4` of one object."""

    def __init__(self, directory: RunDirectory, info: SourceInfo, config: RunConfig, object_id: int) -> None:
        path = directory.claim(f"mattes/{object_id}{MATTE_SUFFIXES[config.matte_codec]}")
        self._object_id = object_id
        self._writer = MatteWriter(path, codec=config.matte_codec).open(info)
        self.close, self.abort = self._writer.close, self._writer.abort

    def write(self, frame: Frame, result: FrameResult) -> None:
        self._writer.write(result.labels == self._object_id, pts=frame.pts, time_base=frame.time_base)


class _Overlay:
    def __init__(self, directory: RunDirectory, info: SourceInfo) -> None:
        self._writer = OverlayWriter(directory.claim("overlay.mp4")).open(info)
        self.close, self.abort = self._writer.close, self._writer.abort

    def write(self, frame: Frame, result: FrameResult) -> None:
        self._writer.write(frame.image, result.labels, pts=frame.pts, time_base=frame.time_base)


class _Scores:
    def __init__(self, directory: RunDirectory) -> None:
        self._writer = ScoresWriter(directory.claim("scores.csv")).open()
        self.close, self.abort = self._writer.close, self._writer.abort

    def write(self, frame: Frame, result: FrameResult) -> None:
        del frame
        self._writer.write(result)


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
            "mask-video": [lambda: _MaskVideo(directory, info)],
            "mattes": [lambda i=i: _Matte(directory, info, config, i) for i in object_ids],  # type: ignore[misc]
            "overlay": [lambda: _Overlay(directory, info)],
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
