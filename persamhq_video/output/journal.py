"""The journal of a run: every frame begun and every frame committed, one line each, from which a killed run resumes.

It is a write-ahead log in JSON lines. The results writer appends to it, and `run_directory` reads its first line to
tell whether the run in a folder is the one that is asked for. It needs no torch.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final, get_args

from persam_hq.errors import one_line
from persam_hq.io.atomic import open_unlinked
from persam_hq.io.text.json_text import json_bytes
from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.types import CallKind

__all__ = ["CommittedFrame", "Journal", "JournalHead", "read_head"]

_FORMAT: Final = 1
"""Of the lines; raised when a reader of the version before would misread them."""
_NOWHERE: Final = -1
"""In the table of offsets: no line about this frame."""
_SHORTEST_LINE: Final = 8
"""Bytes of a line, at least. A frame's number is believed only where so many lines may stand before its own, so that
the table of offsets is never larger than the file."""
_LONGEST_LINE: Final = 4 << 20
"""Bytes of a line, at most: 255 objects and a name need 50 kB, a configuration less."""
_LARGEST_NUMBER: Final = 1 << 63
"""Times and the like fit the 64 bits that containers have for them."""


@dataclass(frozen=True, slots=True)
class CommittedFrame:
    """A frame whose label map is on the disk.

    `ticks` is its time in the files that are made of the frames, `crc` the CRC-32 of its label image, `rows` its part
    of scores.csv.
    """

    index: int
    name: str
    pts: int
    time_base: Fraction
    ticks: int
    crc: int
    rows: str

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> CommittedFrame:
        """The frame that a line records; a ValueError where it is of another form."""
        numbers = [entry.get(key) for key in ("index", "pts", "ticks", "crc")]
        texts = [entry.get(key) for key in ("name", "time_base", "rows")]
        is_sound = entry.keys() == set(cls.__slots__) and all(map(_is_number, numbers))
        if not is_sound or not all(isinstance(text, str) for text in texts) or _leads_away(entry["name"]):
            raise ValueError(f"got {str(entry)[:100]!r}, expected a frame")
        return cls(**{**entry, "time_base": _ratio(entry["time_base"])})


@dataclass(frozen=True, slots=True)
class JournalHead:
    """The first line of a journal.

    `identity` is what makes the run the run it is; `schema` is that of its snapshots, None where a version wrote it
    that did not say.
    """

    identity: Mapping[str, Any]
    schema: str | None


class Journal:
    """A file that only grows; a line that was torn when the run was killed is dropped, with all that follows it.

    Any thread may append. In memory it keeps eight bytes per frame: where the frame's line is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun: Counter[str] = Counter()
        self.attempts = 0
        self._offsets = array("q")
        self._end = 0
        self._handle: int | None = None
        self._lock = threading.Lock()

    def open(self, identity: Mapping[str, Any], *, schema: str = "") -> None:
        """Read what earlier attempts wrote, if any did, and begin another one."""
        with self._as_output_error():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = open_unlinked(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                self._read()
                # Behind the last whole line there may be a torn one
                os.ftruncate(self._handle, self._end)
            except BaseException:
                self.close()
                raise
        self._append({"attempt": self.attempts + 1, "format": _FORMAT, "schema": schema, "identity": identity})
        self.attempts += 1
        self.sync()

    def begin(self, kind: CallKind, index: int) -> None:
        """Record that work on a frame is about to begin."""
        self._append({"begin": kind, "frame": index})
        with self._lock:
            self.begun[kind] += 1

    def commit(self, frame: CommittedFrame) -> None:
        """Record that a frame's label map is on the disk; the last line about a frame counts."""
        offset = self._append({"commit": {**asdict(frame), "time_base": str(frame.time_base)}})
        self._index(frame.index, offset)

    def committed(self, index: int) -> CommittedFrame | None:
        """The record of a frame; None where it was never committed."""
        if not 0 <= index < len(self._offsets) or self._offsets[index] == _NOWHERE:
            return None
        with self._reading() as file:
            return _frame_at(file, self._offsets[index])

    def frames(self, end: int | None = None) -> Iterator[CommittedFrame]:
        """The records of the frames before `end`, in order, as far as they were committed without a gap."""
        with self._reading() as file:
            for offset in self._offsets[:end]:
                if offset == _NOWHERE:
                    return
                yield _frame_at(file, offset)

    def sync(self) -> None:
        """Bring all lines to the disk."""
        with self._as_output_error():
            os.fsync(self._opened())

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _append(self, entry: Mapping[str, Any]) -> int:
        """Write a line with one call, so that only the last line can be torn; returns the offset where it starts."""
        line = json_bytes(entry, separators=(",", ":")) + b"\n"
        with self._lock, self._as_output_error():
            handle, start = self._opened(), self._end
            written = os.write(handle, line)
            if written != len(line):
                # A full disk takes a part of a line and raises only at the next call
                os.ftruncate(handle, start)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._end = start + written
        return start

    def _read(self) -> None:
        """Count and index the lines of earlier attempts."""
        for offset, entry, end in _entries(self.path):
            if "attempt" in entry:
                self.attempts += 1
            elif "begin" in entry:
                self.begun[entry["begin"]] += 1
            else:
                self._index(entry["commit"]["index"], offset)
            self._end = end

    def _index(self, index: int, offset: int) -> None:
        missing = index + 1 - len(self._offsets)
        if missing > 0:
            self._offsets.extend([_NOWHERE] * missing)
        self._offsets[index] = offset

    def _opened(self) -> int:
        if self._handle is None:
            raise ValueError(f"{self.path}: used while not open; call open() first")
        return self._handle

    @contextlib.contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        """The file for reading; what somebody else made of it meanwhile is an OutputError."""
        try:
            with os.fdopen(open_unlinked(self.path, os.O_RDONLY), "rb") as file:
                yield file
        except (OSError, ValueError) as exc:
            raise OutputError(f"{self.path} cannot be read back: {one_line(exc)}") from exc

    @contextlib.contextmanager
    def _as_output_error(self) -> Iterator[None]:
        """Raise what goes wrong with the file as an OutputError."""
        try:
            yield
        except OSError as exc:
            raise OutputError(f"{self.path} cannot be written: {exc.strerror or exc}; what is committed stays") from exc


def read_head(path: Path) -> JournalHead | None:
    """The first line of a journal, without opening it; None where no journal was begun."""
    try:
        with os.fdopen(open_unlinked(path, os.O_RDONLY), "rb") as file:
            entry = _parse(file.readline(_LONGEST_LINE))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read ({exc.strerror or exc}); use another --out") from exc
    if entry is None:
        return None
    identity, schema = entry.get("identity"), entry.get("schema")
    if entry.get("format") != _FORMAT or not isinstance(identity, dict):
        raise ConfigError(f"{path} is not a ledger of this version; use --overwrite or another --out")
    return JournalHead(identity, schema if isinstance(schema, str) else None)


def _entries(path: Path) -> Iterator[tuple[int, Mapping[str, Any], int]]:
    """Every sound line with the offsets of its start and its end, up to the first that is torn or of another form."""
    offset = 0
    with os.fdopen(open_unlinked(path, os.O_RDONLY), "rb") as file:
        while line := file.readline(_LONGEST_LINE):
            entry = _parse(line)
            if entry is None or not _is_sound(entry, offset):
                return
            yield offset, entry, offset + len(line)
            offset += len(line)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The object of a whole line, None where it is torn or none; brackets that nest too deeply are none either."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _is_sound(entry: Mapping[str, Any], offset: int) -> bool:
    """Whether the line at `offset` is one that a run writes: whoever shares the folder may have written another."""
    if "attempt" in entry:
        return True
    if "begin" in entry:
        return entry["begin"] in get_args(CallKind) if isinstance(entry["begin"], str) else False
    try:
        frame = CommittedFrame.from_entry(entry["commit"])
    except (KeyError, ValueError, AttributeError):
        return False
    return 0 <= frame.index * _SHORTEST_LINE <= offset


def _frame_at(file: BinaryIO, offset: int) -> CommittedFrame:
    file.seek(offset)
    entry = _parse(file.readline(_LONGEST_LINE))
    if entry is None or not isinstance(entry.get("commit"), dict):
        raise ValueError("it has changed while it was in use")
    return CommittedFrame.from_entry(entry["commit"])


def _is_number(value: object) -> bool:
    """Whether a value is a whole number of at most 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST_NUMBER <= value < _LARGEST_NUMBER


def _ratio(text: str) -> Fraction:
    """`1/25` as a number; only whole numbers are read, as `1e999999999` would take all memory."""
    over, _, under = text.partition("/")
    value = Fraction(int(over), int(under or 1)) if int(under or 1) > 0 else None
    if value is None or not _is_number(value.numerator) or not _is_number(value.denominator):
        raise ValueError(f"got the time base {text[:40]!r}, expected two whole numbers")
    return value


def _leads_away(name: str) -> bool:
    """Whether a file of that name would lie in another folder."""
    return Path(name).name != name or "\0" in name
