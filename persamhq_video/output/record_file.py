"""run.json on the disk: its name, and how it is read and written; what it says is `pipeline.run_record`'s."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from persam_hq.io.atomic import atomic_write
from persamhq_video.errors import ConfigError, OutputError

__all__ = ["RECORD_NAME", "read_record", "write_record"]

RECORD_NAME: Final = "run.json"


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of the run in a folder, None where there is none; a file that is no record is a ConfigError."""
    path = folder / RECORD_NAME
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path} is not readable as a run's record; use another --out") from exc
    if not isinstance(record, dict) or "status" not in record:
        raise ConfigError(f"{path} is not the record of a run; use another --out")
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write run.json whole or not at all."""
    path = folder / RECORD_NAME
    text = json.dumps(record, indent=1, ensure_ascii=False)
    try:
        atomic_write(path, f"{text}\n".encode())
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror or exc}") from exc
