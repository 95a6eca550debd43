"""Opening of frame sources from paths: a folder of images, or a video file through the chosen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from persam_hq.io.limits import MAX_PIXELS
from persam_hq.io.paths import exists, is_file, is_folder
from persamhq_video.errors import ConfigError, InputError
from persamhq_video.protocols.frame_source import FrameSource, FrameWindow

__all__ = ["FrameSource", "FrameWindow", "ReaderName", "open_folder", "open_source", "open_video_file"]

ReaderName = Literal["pyav", "decord"]

_STACKS = frozenset({".tif", ".tiff", ".webp"})
"""Pictures of which FFmpeg reads the first one alone, or none, where the file holds several."""


def open_source(
    path: str | Path, *, reader: ReaderName = "pyav", start: int = 0, end: int | None = None, stride: int = 1
) -> FrameSource:
    """Open a video file or a folder of frames; what cannot be read is an InputError here, before any frame."""
    path, window = Path(path), FrameWindow(start, end, stride)
    if not exists(path):
        raise InputError(f"{path}: no such file or folder; give a video file or a folder of frames")
    return open_folder(path, window) if is_folder(path) else open_video_file(path, window, reader=reader)


def open_folder(path: Path, window: FrameWindow, *, max_pixels: int = MAX_PIXELS) -> FrameSource:
    """The images of a folder as a source; those of more than `max_pixels` are refused."""
    # Readers are imported where they are opened: Pillow, av and decord take their time.
    from persamhq_video.io.readers.folder import FolderSource

    if not is_folder(path):
        raise InputError(f"{path}: no such folder; give a folder of images, or another --source")
    return FolderSource(path, window, max_pixels=max_pixels)


def open_video_file(path: Path, window: FrameWindow, *, reader: ReaderName = "pyav") -> FrameSource:
    """A video file through one of the two readers, which give the same frames."""
    if not exists(path):
        raise InputError(f"{path}: no such file; give a video file, or another --source")
    # Opening a pipe waits for its writer, and a video is opened more than once
    if not is_file(path):
        raise InputError(
            f"{path}: is no file but a pipe or device, which cannot be read twice; save it as a file first"
        )
    if path.suffix.lower() in _STACKS:
        _refuse_stack(path)

    if reader == "pyav":
        from persamhq_video.io.readers.pyav_reader import PyAVSource

        return PyAVSource(path, window)
    if reader == "decord":
        from persamhq_video.io.readers.decord_reader import DecordSource

        return DecordSource(path, window)
    raise ConfigError(f"got reader {reader!r}, expected pyav or decord")


def _refuse_stack(path: Path) -> None:
    """Refuse a picture file with several pages or an animation, which the readers would take as one frame."""
    from persam_hq.io.pictures import PictureError, read_header

    try:
        count = read_header(path).pictures
    except PictureError:
        return  # what it is, the reader says
    if count > 1:
        raise InputError(
            f"{path}: holds {count} pictures, which cannot be read as a video; save each as a file of its own, and"
            " give their folder"
        )
