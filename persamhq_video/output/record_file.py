"""run.json on the disk: its name, and how it is read and written; what it says is `pipeline.run_record`'s."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from persam_hq.io.atomic import atomic_write, read_limited
from persam_hq.io.text.json_text import json_bytes
from persamhq_video.errors import ConfigError, OutputError

__all__ = ["RECORD_NAME", "files_in", "read_record", "write_record"]

RECORD_NAME: Final = "run.json"
_LARGEST: Final = 1 << 28
"""Bytes of a record: each file takes about 60, and a million frames are more than eleven hours of video."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of the run in a folder, None where there is none; a file that is no record is a ConfigError."""
    path = folder / RECORD_NAME
    try:
        record = json.loads(read_limited(path, limit=_LARGEST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{path} is not readable as a run's record; use another --out") from exc
    if not isinstance(record, dict) or "status" not in record:
        raise ConfigError(f"{path} is not the record of a run; use another --out")
    return record


def files_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of files that a record lists, as far as they lie in its folder: it may have been edited."""
    files = record.get("files")
    return tuple(dict.fromkeys(name for name in files if _is_inside(name))) if isinstance(files, list) else ()


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write run.json whole or not at all."""
    path = folder / RECORD_NAME
    try:
        atomic_write(path, json_bytes(record, indent=1) + b"\n")
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror or exc}") from exc


def _is_inside(name: object) -> bool:
    """Whether a name is that of a file below the folder."""
    if not isinstance(name, str) or "\0" in name or not Path(name).name:
        return False
    return not Path(name).is_absolute() and ".." not in Path(name).parts
