"""The outline of Matroska and WebM files: whether one was cut off, which FFmpeg reads as if it ended there."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_WITH_FRAMES: Final = frozenset({_CLUSTER, 0xA0, 0xA3})  # a cluster and what it holds: BlockGroup, SimpleBlock
_MAX_ID_BYTES: Final = 4
_MAX_SIZE_BYTES: Final = 8


def missing_part(path: Path) -> Literal["frames", "rest"] | None:
    """The part that a file lacks: frames of its last cluster, or what should come after; None where nothing is missing.

    A file holds elements, each with its size in front. A live recording leaves sizes open, and may end anywhere.
    """
    end, promised = path.stat().st_size, 0
    with path.open("rb") as file:
        while (element := _next_element(file)) is not None:
            name, size = element
            if name == _SEGMENT or (name == _CLUSTER and size is None):
                # What it holds comes next
                promised = max(promised, file.tell() + size) if size is not None else promised
                continue
            if size is None:
                return None
            if file.tell() + size > end:
                return "frames" if name in _WITH_FRAMES else "rest"
            file.seek(size, 1)
    return "rest" if promised > end else None


def _next_element(file: BinaryIO) -> tuple[int, int | None] | None:
    """The id and size of the element that starts here, its size None where it is left open; None at the end."""
    name = _number(file, longest=_MAX_ID_BYTES)
    size = None if name is None else _number(file, longest=_MAX_SIZE_BYTES)
    if name is None or size is None:
        return None
    # The leading bit of a size only tells its length; if all the other bits are set it is left open
    all_bits = (1 << 7 * size[1]) - 1
    value = size[0] & all_bits
    return name[0], None if value == all_bits else value


def _number(file: BinaryIO, *, longest: int) -> tuple[int, int] | None:
    """A number with its leading bit, and its length in bytes: one more than there are zeros before that bit."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first else longest + 1
    rest = file.read(length - 1) if length <= longest else b""
    return (int.from_bytes(first + rest), length) if first and len(rest) == length - 1 and length <= longest else None
