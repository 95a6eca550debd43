"""Protocols of frame sources: the frames of one input, and the kinds of source that plugins register."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from persam_hq.io.limits import MAX_PIXELS
from persamhq_video.errors import ConfigError, InputError
from persamhq_video.types import Frame, SourceInfo

__all__ = ["FrameRequest", "FrameSource", "FrameSourceKind", "FrameWindow"]


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """The source frames that a run uses: ``range(start, end, stride)``, where ``end=None`` means to the last one."""

    start: int = 0
    end: int | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if self.start < 0 or self.stride < 1:
            raise ConfigError(f"got start {self.start} and stride {self.stride}; use 0 or more and 1 or more")
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"got start {self.start} and end {self.end}, no frame between; use an end beyond start")

    def wants(self, position: int) -> bool:
        """Whether the source frame at ``position`` is delivered."""
        return position >= self.start and not self.is_past(position) and (position - self.start) % self.stride == 0

    def is_past(self, position: int) -> bool:
        """Whether no frame from ``position`` on is delivered."""
        return self.end is not None and position >= self.end

    def count(self, available: int) -> int:
        """The number of frames that are delivered of ``available`` source frames."""
        # The window may end before the source does, and the other way round
        stop = available if self.end is None else min(self.end, available)
        return len(range(self.start, stop, self.stride))

    def check_start(self, path: Path, available: int) -> None:
        """Refuse a start that lies beyond the last of ``available`` frames."""
        if self.start >= available:
            raise InputError(f"{path}: got start {self.start}, expected 0 to {available - 1} ({available} frames)")


class FrameSource(Protocol):
    """A stream of upright RGB frames; every call of ``frames`` starts at the beginning again."""

    @property
    def info(self) -> SourceInfo:
        """Properties known before decoding; ``num_frames`` counts the whole source, not the window."""

    @property
    def num_selected(self) -> int | None:
        """The number of frames that the source promises to deliver; None when it cannot know."""

    def frames(self) -> Iterator[Frame]:
        """Frames one by one, ``index`` from 0 in output order; a DecodeError follows the last intact one."""


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """A request to open an input: the text that the user gave, the frames that are used, and two options.

    `reader` is the one for video files; `max_pixels` are those of a frame that is still read.
    """

    text: str
    window: FrameWindow = FrameWindow()
    reader: str = "pyav"
    max_pixels: int = MAX_PIXELS


@runtime_checkable
class FrameSourceKind(Protocol):
    """One kind of source: it knows which inputs are its own, and opens them."""

    is_live: bool
    """True if its frames cannot be read again, as from a camera; see `SourceInfo.is_live`."""

    def accepts(self, text: str) -> bool:
        """Whether an input, as the user gave it, is of this kind; has to be quick: from its name or a look at it."""
        ...

    def open(self, request: FrameRequest) -> FrameSource:
        """The source; an input that cannot be read is an InputError here, before any frame.

        With `--decode workers` the source is sent to the workers, so it has to pickle.
        """
        ...
