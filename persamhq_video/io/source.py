"""Where frames come from: a video file or a folder of images, behind one protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from persamhq_video.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from persamhq_video.types import Frame, SourceInfo

ReaderName = Literal["pyav", "decord"]


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


def open_source(
    path: str | Path, *, reader: ReaderName = "pyav", start: int = 0, end: int | None = None, stride: int = 1
) -> FrameSource:
    """Open a video file or a folder of frames; what cannot be read is an InputError here, before any frame."""
    path, window = Path(path), FrameWindow(start, end, stride)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")
    if path.is_dir():
        from persamhq_video.io.folder import FolderSource

        return FolderSource(path, window)
    if reader == "pyav":
        from persamhq_video.io.pyav_reader import PyAVSource

        return PyAVSource(path, window)
    if reader == "decord":
        from persamhq_video.io.decord_reader import DecordSource

        return DecordSource(path, window)
    raise ConfigError(f"got reader {reader!r}, expected pyav or decord")
