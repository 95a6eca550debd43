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
from typing import Any, Final

from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.types import CallKind

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows, where two runs in one folder are not told apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["CommittedFrame", "Journal", "JournalHead", "check_unlocked", "read_head"]

_FORMAT: Final = 1
"""Of the lines; raised when a reader of the version before would misread them."""
_BINARY: Final = getattr(os, "O_BINARY", 0)
"""Windows writes two bytes for each line feed without it, and offsets of lines would be wrong."""
_NOWHERE: Final = -1
"""In the table of offsets: no line about this frame."""


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
        """The frame that a line records."""
        return cls(**{**entry, "time_base": Fraction(entry["time_base"])})


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

    def open(self, identity: Mapping[str, Any], *, schema: str) -> None:
        """Read what earlier attempts wrote, if any did, and begin another one."""
        with self._as_output_error():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
            try:
                _lock(self._handle, self.path)
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
        with self.path.open("rb") as file:
            file.seek(self._offsets[index])
            return CommittedFrame.from_entry(json.loads(file.readline())["commit"])

    def frames(self, end: int | None = None) -> Iterator[CommittedFrame]:
        """The records of the frames before `end`, in order, as far as they were committed without a gap."""
        with self.path.open("rb") as file:
            for offset in self._offsets[:end]:
                if offset == _NOWHERE:
                    return
                file.seek(offset)
                yield CommittedFrame.from_entry(json.loads(file.readline())["commit"])

    def sync(self) -> None:
        """Bring all lines to the disk."""
        with self._as_output_error():
            os.fsync(self._opened())

    def close(self) -> None:
        """Close the file and give up its lock; closing twice is harmless."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _append(self, entry: Mapping[str, Any]) -> int:
        """Write a line with one call, so that only the last line can be torn; returns the offset where it starts."""
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
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
            elif "commit" in entry:
                self._index(int(entry["commit"]["index"]), offset)
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
    def _as_output_error(self) -> Iterator[None]:
        """Raise what goes wrong with the file as an OutputError."""
        try:
            yield
        except OSError as exc:
            raise OutputError(f"{self.path} cannot be written: {exc.strerror or exc}; what is committed stays") from exc


def read_head(path: Path) -> JournalHead | None:
    """The first line of a journal, without opening it; None where no journal was begun."""
    if not path.is_file():
        return None
    for _, entry, _ in _entries(path):
        identity, schema = entry.get("identity"), entry.get("schema")
        if entry.get("format") != _FORMAT or not isinstance(identity, dict):
            raise ConfigError(f"{path} is not a ledger of this version; use --overwrite or another --out")
        return JournalHead(identity, schema if isinstance(schema, str) else None)
    return None


def check_unlocked(path: Path) -> None:
    """Refuse the journal of a run that is going on."""
    if path.is_file():
        handle = os.open(path, os.O_RDWR)
        try:
            _lock(handle, path)
        finally:
            os.close(handle)


def _lock(handle: int, path: Path) -> None:
    """Lock the journal for this process; the lock ends with the process, however that ends."""
    if fcntl is None:  # pragma: no cover
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise ConfigError(f"{path.parent.parent} is in use by another run; wait, or use another --out") from exc
    except OSError:  # a file system without locks
        return


def _entries(path: Path) -> Iterator[tuple[int, Mapping[str, Any], int]]:
    """Every whole line with the offsets of its start and its end, up to the first that is torn."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                return
            if not isinstance(entry, dict):
                return
            yield offset, entry, offset + len(line)
            offset += len(line)
