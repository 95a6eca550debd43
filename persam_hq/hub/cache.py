"""Cache of downloaded weights in the user's folder; a file is verified by its SHA-256 before it is used.

Beside each file lies a record, FILE.json, so that gigabytes are hashed only after they were touched.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from persam_hq.errors import CheckpointError
from persam_hq.hub.catalogue import PUBLISHED, Published
from persam_hq.hub.plausibility import what_is_wrong
from persam_hq.io.atomic import atomic_write, sha256_of

__all__ = ["FOLDER_VARIABLE", "Cache", "Record", "cached_path", "default_folder"]

FOLDER_VARIABLE = "PERSAM_HQ_CACHE"
"""Environment variable that names another folder for the cache."""


@dataclass(frozen=True, slots=True)
class Record:
    """A file as it was last verified: hash, size in bytes, and time stamp in ns, which tells a later change."""

    sha256: str
    size: int
    modified: int


def default_folder() -> Path:
    """PERSAM_HQ_CACHE, or `persam-hq` in the platform's cache folder for users (XDG on Linux).

    Raises CheckpointError for a user who has no home folder.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "persam-hq"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local") / "persam-hq" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "persam-hq"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as exc:  # in containers users may have no entry
        raise CheckpointError(
            f"this user has no home folder for downloads; name a folder in {FOLDER_VARIABLE}"
        ) from exc


@dataclass(frozen=True, slots=True)
class Cache:
    """Downloaded files in a folder, each with a record of its SHA-256 beside it."""

    folder: Path

    def path(self, entry: Published) -> Path:
        """Path of the file, whether it is there or not."""
        return self.folder / entry.file

    def has(self, entry: Published) -> bool:
        """Whether the file is there as a whole."""
        return self.path(entry).is_file()

    def verified(self, entry: Published) -> Path:
        """The file, if it is what was published, or what was downloaded first; CheckpointError otherwise.

        It is read whole only if it was touched since it was last verified.
        """
        # The hash it has, from the record where the file is untouched
        path, record = self.path(entry), self._record(entry)
        stat = path.stat()
        if record is not None and (record.size, record.modified) == (stat.st_size, stat.st_mtime_ns):
            found = record.sha256
        else:
            found = sha256_of(path)

        # What was put here by hand has no record, and without a published sum only its form tells what it is
        wrong = what_is_wrong(entry, path) if entry.sha256 is None and record is None else None
        if wrong is not None:
            raise CheckpointError(f"{path} is {wrong}; remove it and run `persam-hq checkpoints download {entry.name}`")

        # The hash it should have: the published one, or that of the first download
        expected = entry.sha256 or (found if record is None else record.sha256)
        if found != expected:
            raise CheckpointError(
                f"{path} is not what was {'published' if entry.sha256 else 'downloaded'}: its SHA-256 is {found}, "
                f"expected {expected}; remove it and run `persam-hq checkpoints download {entry.name}`"
            )
        # It may have been touched and be the same; the new time stamp saves the next hash
        self.keep(entry, found)
        return path

    def keep(self, entry: Published, sha256: str) -> None:
        """Record the file as it is now."""
        stat = self.path(entry).stat()
        record = Record(sha256=sha256, size=stat.st_size, modified=stat.st_mtime_ns)
        if record == self._record(entry):
            return
        atomic_write(self._record_path(entry), json.dumps(asdict(record)).encode())

    def _record_path(self, entry: Published) -> Path:
        return self.folder / f"{entry.file}.json"

    def _record(self, entry: Published) -> Record | None:
        path = self._record_path(entry)
        try:
            return Record(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as exc:
            raise CheckpointError(
                f"cannot read the record {path}: {exc}; remove it and {entry.file} beside it"
            ) from exc


def cached_path(checkpoint: str | Path) -> Path:
    """The path itself, or the file in the cache if no such file is there and it is the name of a published one.

    Raises CheckpointError where that file is not in the cache, or no longer what was downloaded.
    """
    # A file of that name in the working folder wins
    path = Path(checkpoint)
    if path.exists() or str(checkpoint) not in PUBLISHED:
        return path
    entry, cache = PUBLISHED[str(checkpoint)], Cache(default_folder())
    if not cache.has(entry):
        raise CheckpointError(
            f"{entry.name} is not in {cache.folder} yet; run `persam-hq checkpoints download {entry.name}`"
        )
    return cache.verified(entry)
