"""The reader of folders: each image is a frame."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from persam_hq.errors import one_line
from persam_hq.io.natural_order import natural_sorted
from persamhq_video.errors import DecodeError, InputError
from persamhq_video.types import Frame, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from persamhq_video.protocols.frame_source import FrameWindow

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
FOLDER_RATE = Fraction(25)
"""Frames per second of a folder, which has no times of its own; FFmpeg, too, takes this rate for images."""

_ORIENTATION = 0x0112  # the EXIF tag
_FIRST_ON_ITS_SIDE = 5  # orientations from this value on exchange width and height
_MAX_REASON = 120
"""Characters of a library's message that a line of an error has room for."""
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class FolderSource:
    """The images of a folder in natural order, all of one size.

    A folder has no times of its own: the time base is 1/25 s and a frame's pts is its place among the files. The
    orientation in EXIF is applied, as a player applies the rotation of a video; masks are drawn on the upright picture.
    """

    def __init__(self, path: Path, window: FrameWindow) -> None:
        self._path, self._window = path, window
        self._files = image_files(path)
        if not self._files:
            raise InputError(f"{path}: no frames in it; expected images named {', '.join(sorted(IMAGE_SUFFIXES))}")
        window.check_start(path, len(self._files))

        # Names and sizes are checked from the headers of all files, so that no run ends in the middle for them.
        _check_names(self._files)
        width, height = _common_size(self._files)
        self.info = SourceInfo(
            path=path,
            kind="folder",
            width=width,
            height=height,
            time_base=1 / FOLDER_RATE,
            frame_rate=FOLDER_RATE,
            num_frames=len(self._files),
            rotation=0,
        )

    @property
    def num_selected(self) -> int | None:
        """See FrameSource."""
        return self._window.count(len(self._files))

    def frames(self) -> Iterator[Frame]:
        """See FrameSource."""
        wanted = ((i, file) for i, file in enumerate(self._files) if self._window.wants(i))
        for index, (position, file) in enumerate(wanted):
            image = self._read(file, index)
            yield Frame(index=index, pts=position, time_base=self.info.time_base, image=image, name=file.stem)

    def _read(self, file: Path, index: int) -> NDArray[np.uint8]:
        """The image of a frame; a file that is broken, or was replaced since the start, is a DecodeError."""
        expected = (self.info.height, self.info.width, 3)
        try:
            image = read_rgb(file)
        except _UNREADABLE as exc:
            message = f"{file}: frame {index} is missing or broken ({reason_of(exc)}); replace the file"
            raise DecodeError(message, frame=index) from exc
        if image.shape != expected:
            message = f"{file}: got {image.shape}, expected {expected}; the file changed while running"
            raise DecodeError(message, frame=index)
        return image


def image_files(folder: Path) -> tuple[Path, ...]:
    """Images directly in the folder in natural order (2 before 10); hidden files are no frames."""
    named = (file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    return tuple(natural_sorted(file for file in named if file.is_file() and file.name[0] != "."))


def read_rgb(file: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, upright; 16-bit grey keeps its upper 8 bits, transparency is dropped."""
    with Image.open(file) as picture:
        upright = picture if _orientation(picture) == 1 else ImageOps.exif_transpose(picture)
        # Pillow itself would clip 16-bit grey at 255 instead of scaling it.
        if upright.mode.startswith("I"):
            grey = (np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.asarray(upright.convert("RGB"), dtype=np.uint8)


def _check_names(files: Sequence[Path]) -> None:
    """Refuse frames of the same stem, such as 1.jpg and 1.png: masks are named after stems."""
    seen: dict[str, Path] = {}
    for file in files:
        if (other := seen.setdefault(file.stem, file)) is not file:
            raise InputError(f"{file}: same name as {other.name}, results would overwrite each other; rename one")


def _common_size(files: Sequence[Path]) -> tuple[int, int]:
    """(width, height) of all files, from their headers alone."""
    first = _upright_size(files[0])
    for file in files[1:]:
        if (size := _upright_size(file)) != first:
            got, expected = f"{size[0]}x{size[1]}", f"{first[0]}x{first[1]}"
            raise InputError(f"{file}: is {got} but {files[0].name} is {expected}; give frames of one size")
    return first


def _upright_size(file: Path) -> tuple[int, int]:
    """(width, height) of an image once its EXIF orientation is applied, from its header."""
    try:
        with Image.open(file) as picture:
            width, height = picture.size
            return (height, width) if _orientation(picture) >= _FIRST_ON_ITS_SIDE else (width, height)
    except _UNREADABLE as exc:
        raise InputError(f"{file}: not an image that can be read ({reason_of(exc)}); replace or remove it") from exc


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none."""
    # Asked for its EXIF, Pillow decodes a whole PNG in case there is some at its end; only the header counts here.
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


def reason_of(exc: BaseException) -> str:
    """The image library's message, without the path that two of its errors begin or end with."""
    if isinstance(exc, FileNotFoundError | UnidentifiedImageError):
        return "no such file" if isinstance(exc, FileNotFoundError) else "unknown format"
    return one_line(exc)[:_MAX_REASON]
