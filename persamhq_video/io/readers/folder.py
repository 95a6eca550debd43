"""The reader of folders: each image is a frame."""

from __future__ import annotations

import hashlib
import io
import os
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from persam_hq.io.images import rgb_of
from persam_hq.io.limits import MAX_PIXELS
from persam_hq.io.pictures import PictureError, PictureHeader, read_header
from persam_hq.io.sample_range import SampleRange, deep_samples, range_of
from persam_hq.io.text.natural_order import natural_sorted
from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io.readers.frame_names import check_frame_names
from persamhq_video.types import Frame, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from persamhq_video.protocols.frame_source import FrameWindow

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FOLDER_RATE = Fraction(25)
"""Frames per second of a folder, which has no times of its own; FFmpeg, too, takes this rate for images."""


class FolderSource:
    """The images of a folder in natural order, all of one size.

    A folder has no times of its own: the time base is 1/25 s and a frame's pts is its place among the files. The
    orientation in EXIF is applied, as a player applies the rotation of a video; masks are drawn on the upright picture.
    Samples of more than 8 bits are scaled by one range for the whole folder.
    """

    def __init__(self, path: Path, window: FrameWindow, *, max_pixels: int = MAX_PIXELS) -> None:
        self._path, self._window = path, window
        self._files = image_files(path)
        if not self._files:
            raise InputError(f"{path}: no frames in it; expected images named {', '.join(sorted(IMAGE_SUFFIXES))}")
        window.check_start(path, len(self._files))

        # Names and sizes are checked from the headers of all files, so that no run ends in the middle for them.
        headers = [_checked_header(file, max_pixels) for file in self._files]
        notes = list(check_frame_names(self._files, [header.mode for header in headers]))
        width, height = _common_size(self._files, headers)

        # The range of samples, said where it is not the plain one
        deep = [file for file, header in zip(self._files, headers, strict=True) if header.is_deep]
        self._range = _range_of_files(tuple((file, _state(file)) for file in deep)) if deep else None
        if self._range is not None and not self._range.is_whole_16_bit:
            notes.append(f"{path}: frames with {self._range}")
        self._digests: dict[Path, str] = {}
        self.info = SourceInfo(
            path=path,
            kind="folder",
            width=width,
            height=height,
            time_base=1 / FOLDER_RATE,
            frame_rate=FOLDER_RATE,
            num_frames=len(self._files),
            rotation=0,
            notes=tuple(notes),
        )

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return self._window.count(len(self._files))

    def content_sha256(self) -> str:
        """SHA-256 of the names and hashes of all frames; from here on a frame that is another one is a DecodeError."""
        for file in self._files:
            self._digests[file] = hashlib.sha256(file.read_bytes()).hexdigest()
        listing = "".join(f"{file.name} {self._digests[file]}\n" for file in self._files)
        return hashlib.sha256(os.fsencode(listing)).hexdigest()

    def frames(self) -> Iterator[Frame]:
        """See FrameSource."""
        wanted = ((i, file) for i, file in enumerate(self._files) if self._window.wants(i))
        for index, (position, file) in enumerate(wanted):
            image = self._read(file, index)
            yield Frame(index=index, pts=position, time_base=self.info.time_base, image=image, name=file.stem)

    def _read(self, file: Path, index: int) -> NDArray[np.uint8]:
        """The image of a frame; a file that is broken, or was replaced since the start, is a DecodeError."""
        # The bytes that are decoded are those that are compared
        try:
            data = file.read_bytes()
        except OSError as exc:
            reason = "no such file" if isinstance(exc, FileNotFoundError) else exc.strerror
            message = f"{file}: frame {index} is missing or broken ({reason}); replace the file"
            raise DecodeError(message, frame=index) from exc
        known = self._digests.get(file)
        if known is not None and hashlib.sha256(data).hexdigest() != known:
            message = f"{file}: frame {index} is another picture than at the start; the file changed while running"
            raise DecodeError(message, frame=index)

        expected = (self.info.height, self.info.width)
        try:
            header = read_header(io.BytesIO(data))
            if (header.height, header.width) != expected:
                message = f"{file}: got {header.size}, expected {self.info.width}x{self.info.height}"
                raise DecodeError(f"{message}; the file changed while running", frame=index)
            return rgb_of(io.BytesIO(data), header, self._range)
        except PictureError as exc:
            message = f"{file}: frame {index} is missing or broken ({exc}); replace the file"
            raise DecodeError(message, frame=index) from exc


def image_files(folder: Path) -> tuple[Path, ...]:
    """Images directly in the folder in natural order (2 before 10); hidden files are no frames."""
    named = (file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    return tuple(natural_sorted(file for file in named if file.is_file() and file.name[0] != "."))


def _checked_header(file: Path, max_pixels: int) -> PictureHeader:
    """The header of a frame, one picture of no more pixels than are allowed."""
    try:
        header = read_header(file)
    except PictureError as exc:
        raise InputError(f"{file}: not an image that can be read ({exc}); replace or remove it") from exc
    try:
        header.refuse_too_large(max_pixels, advice="raise --max-pixels if it is meant")
    except PictureError as exc:
        raise InputError(f"{file}: {exc}") from exc
    if header.pictures > 1:
        raise InputError(
            f"{file}: holds {header.pictures} pictures (pages or an animation), and a frame is one; save each as a"
            " file of its own"
        )
    return header


def _common_size(files: Sequence[Path], headers: Sequence[PictureHeader]) -> tuple[int, int]:
    """(width, height) of all files, from their headers alone."""
    first = headers[0]
    for file, header in zip(files, headers, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            raise InputError(f"{file}: is {header.size} but {files[0].name} is {first.size}; give frames of one size")
    return first.width, first.height


def _state(file: Path) -> tuple[int, int]:
    """What changes when a file is written: its time and its size."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _range_of_files(files: tuple[tuple[Path, tuple[int, int]], ...]) -> SampleRange:
    """The range of samples of all files; a folder is opened more than once, so it is kept while they stay the same."""

    def read() -> Iterator[tuple[PictureHeader, NDArray[np.generic]]]:
        for file, _ in files:
            # A broken file is told of when its frame is read
            try:
                yield read_header(file), deep_samples(file)
            except PictureError:
                continue

    return range_of(read())
