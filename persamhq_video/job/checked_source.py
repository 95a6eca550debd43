"""The frame source of a plugin, whose frames are checked as they come: what it raises, how many, their sizes and names.

The readers of this package check their own; a foreign one that ends early would look complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from persamhq_video.errors import DecodeError, PersamHQVideoError
from persamhq_video.foreign import TimedThread, contained
from persamhq_video.protocols.frame_source import FrameSource
from persamhq_video.types import Frame, SourceInfo

__all__ = ["CheckedSource", "source_fault"]


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSource:
    """See FrameSource; `what` names the source in messages, and `limit` are the seconds that a frame may take.

    A live source may wait for its next frame as long as it likes.
    """

    source: FrameSource
    what: str
    limit: float | None = None

    @property
    def info(self) -> SourceInfo:
        """See FrameSource."""
        return self.source.info

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return self.source.num_selected

    def frames(self) -> Iterator[Frame]:
        """See FrameSource; a DecodeError tells where the source went wrong, a HangError that it gives nothing."""
        with TimedThread(self.what, limit=None if self.info.is_live else self.limit) as thread:
            yield from self._frames(thread)

    def _frames(self, thread: TimedThread) -> Iterator[Frame]:
        """The frames, for which the source is asked in that thread."""
        announced, names, index = self.num_selected, set[str](), 0
        frames: Iterator[object] = iter(())
        try:
            frames = thread.call(self._begin)
            while True:
                # The next frame, if there is one
                frame = thread.call(partial(self._next, frames, index))
                if frame is self:
                    break

                # It is what the source said it would be
                fault = _frame_fault(frame, self.info, index=index, names=names, announced=announced)
                if fault is not None:
                    raise self._failed(index, fault)
                assert isinstance(frame, Frame)
                if announced is not None:  # what is live goes on for days
                    names.add(frame.name)
                yield frame
                index += 1
        finally:
            if not thread.hangs:
                thread.call(partial(self._close, frames, index))

        if announced is not None and index < announced:
            raise self._failed(index, f"it ends after {index} of the {announced} frames that it announced")

    def _begin(self) -> Iterator[object]:
        with self._at(0):
            return iter(self.source.frames())

    def _next(self, frames: Iterator[object], index: int) -> object:
        with self._at(index):
            return next(frames, self)

    def _close(self, frames: Iterator[object], index: int) -> None:
        with self._at(index):
            getattr(frames, "close", lambda: None)()

    def _at(self, index: int) -> AbstractContextManager[None]:
        return contained(
            self.what, lambda reason, _: self._failed(index, f"it failed: {reason}"), passing=(PersamHQVideoError,)
        )

    def _failed(self, index: int, fault: str) -> DecodeError:
        return DecodeError(f"{self.what}, frame {index}: {fault}", frame=index)


def source_fault(source: Any) -> str | None:
    """What is wrong with a source before its first frame, None where nothing is; it may raise what it likes."""
    if not callable(getattr(source, "frames", None)):
        return f"it opened a {type(source).__name__}; expected info, num_selected and frames()"
    info, announced = source.info, source.num_selected
    if not isinstance(info, SourceInfo):
        return f"its info is a {type(info).__name__}; expected a SourceInfo"
    # What the fields are declared to be is no proof of what they are
    sides: tuple[Any, ...] = (info.width, info.height)
    times: tuple[Any, ...] = (info.time_base, info.frame_rate)
    if not all(isinstance(side, int) and side > 0 for side in sides):
        return f"its frames are {info.width}x{info.height}; expected whole numbers above 0"
    if not all(isinstance(value, Fraction) and value > 0 for value in times):
        return f"got time base {info.time_base!r} and frame rate {info.frame_rate!r}; expected Fractions above 0"
    if announced is not None and (not isinstance(announced, int) or announced < 1):
        return f"it announces {announced!r} frames; expected 1 or more, or None where it cannot know"
    return None


def _frame_fault(frame: object, info: SourceInfo, *, index: int, names: set[str], announced: int | None) -> str | None:
    """What is wrong with a frame, None where nothing is."""
    if announced is not None and index >= announced:
        return f"it gives more than the {announced} frames that it announced"
    if not isinstance(frame, Frame):
        return f"it gave a {type(frame).__name__}; expected a Frame"
    if frame.index != index:
        return f"it gave index {frame.index}; expected {index}, counted from 0 in output order"
    height, width = frame.size
    if (width, height) != (info.width, info.height):
        return f"it gave {width}x{height} pixels; expected {info.width}x{info.height}"
    # Names become those of files
    name: Any = frame.name
    if not isinstance(name, str) or not name.isprintable() or not name or set(name) & set("/\\") or name[0] == ".":
        return f"it gave the name {name!r}; expected one of a file, without folders"
    return f"it gave the name {name!r} twice" if name in names else None
