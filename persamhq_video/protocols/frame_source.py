"""What a source of frames is, and how a plugin offers a kind of source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from persamhq_video.errors import ConfigError, InputError
from persamhq_video.types import Frame, SourceInfo

__all__ = ["FrameRequest", "FrameSource", "FrameSourceKind", "FrameWindow"]


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """Which source frames are wanted: ``range(start, end, stride)``, ``end=None`` meaning all of them."""

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
        """How many of ``available`` source frames are delivered."""
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
        """What is known before decoding; ``num_frames`` counts the whole source, not the window."""

    @property
    def num_selected(self) -> int | None:
        """How many frames will come if the source keeps its promise; None when it makes none."""

    def frames(self) -> Iterator[Frame]:
        """Frames one by one, ``index`` from 0 in output order; DecodeError after the last sound one."""


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """What is to be opened: the text that the user gave, the frames that are wanted, and the option `reader`."""

    text: str
    window: FrameWindow = FrameWindow()
    reader: str = "pyav"


@runtime_checkable
class FrameSourceKind(Protocol):
    """One kind of source: it knows which inputs are its own, and opens them."""

    is_live: bool
    """True if what is read cannot be read again, as from a camera; see `SourceInfo.is_live`."""

    def accepts(self, text: str) -> bool:
        """Whether an input, as the user gave it, is of this kind; told by its name or a look at the file, quickly."""
        ...

    def open(self, request: FrameRequest) -> FrameSource:
        """The source; what cannot be read is an InputError here, before any frame.

        With `--decode workers` the source is sent to the workers, so it has to pickle.
        """
        ...
