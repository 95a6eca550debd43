"""The folder of a run: what an earlier run left in it, which files are the run's own, and its run.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from persamhq_video.config import NEUTRAL_OPTIONS
from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.io.files import atomic_write, part_path

__all__ = ["RunDirectory"]

RECORD_NAME: Final = "run.json"
_CLAIMS_NAME: Final = ".persamhq-files"
_FIXED_OUTPUTS: Final = ("masks.mkv", "overlay.mp4", "scores.csv")
_FOLDERS: Final = ("masks", "mattes")
_IDENTITY_KEYS: Final = ("config", "fingerprint", "inputs", "plugins")
_TOLD_BY_HASH: Final = frozenset({"checkpoint", "plugins"})


class RunDirectory:
    """Claims every file before it is written, so that even a killed run's files can be told from a user's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_open = False
        self._claims: list[str] = []

    def check_place(self) -> None:
        """Refuse a path that no folder can be made at."""
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"--out {self.path} is a file; give a folder")
        nearest = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not os.access(nearest, os.W_OK):
            raise ConfigError(f"--out {self.path} cannot be written: no permission in {nearest}")

    def decide(self, identity: Mapping[str, Any], *, overwrite: bool, no_resume: bool) -> Literal["run", "done"]:
        """Whether there is work to do; a folder that another run or somebody else uses is a ConfigError."""
        earlier = self._read_record()
        if earlier is None or overwrite:
            self._refuse_foreign_files()
            return "run"
        if earlier.get("status") != "complete":
            status = earlier.get("status", "unknown")
            raise ConfigError(f"{self.path} holds a run that is not complete (status: {status}); use --overwrite")
        differing = _differences(identity, earlier)
        if differing:
            raise ConfigError(
                f"{self.path} holds another run (different: {', '.join(differing)}); use another --out or --overwrite"
            )
        missing = [name for name in earlier.get("files", ()) if not (self.path / name).exists()]
        if missing:
            raise ConfigError(f"{self.path} holds a run whose {missing[0]} is missing; use --overwrite")
        if no_resume:
            raise ConfigError(f"{self.path} holds this run already, and no_resume is set; use --overwrite")
        return "done"

    def open(self) -> None:
        """Make the folder, and remove what an earlier run left in it."""
        owned = self._owned()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in owned:
                (self.path / name).unlink(missing_ok=True)
                part_path(self.path / name).unlink(missing_ok=True)
            for folder in _FOLDERS:
                _remove_if_empty(self.path / folder)
            (self.path / _CLAIMS_NAME).write_text("", encoding="utf-8")
        except OSError as exc:
            raise OutputError(f"cannot prepare {self.path}: {exc.strerror or exc}") from exc
        self._claims, self.is_open = [], True

    def claim(self, name: str) -> Path:
        """The path of a file that the run is about to write; its folder is there."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (self.path / _CLAIMS_NAME).open("a", encoding="utf-8") as claims:
                claims.write(f"{name}\n")
        except OSError as exc:
            raise OutputError(f"cannot write to {self.path}: {exc.strerror or exc}") from exc
        self._claims.append(name)
        return path

    def write_record(self, record: Mapping[str, Any], *, final: bool) -> None:
        """Write run.json; the final one lists the files that are there, and takes over the claims."""
        files = [name for name in self._claims if (self.path / name).exists()] if final else []
        text = json.dumps({**record, "files": files}, indent=1, ensure_ascii=False)
        try:
            atomic_write(self.path / RECORD_NAME, f"{text}\n".encode())
            if final:
                (self.path / _CLAIMS_NAME).unlink(missing_ok=True)
        except OSError as exc:
            raise OutputError(f"cannot write {self.path / RECORD_NAME}: {exc.strerror or exc}") from exc

    def _read_record(self) -> Mapping[str, Any] | None:
        path = self.path / RECORD_NAME
        if not path.exists():
            return {"status": "killed"} if (self.path / _CLAIMS_NAME).exists() else None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise ConfigError(f"{path} is not readable as a run's record; use another --out") from exc
        if not isinstance(record, dict) or "status" not in record:
            raise ConfigError(f"{path} is not the record of a run; use another --out")
        return record

    def _owned(self) -> set[str]:
        """Names of the files that an earlier run wrote here."""
        record = self._read_record() or {}
        claims = self.path / _CLAIMS_NAME
        claimed = claims.read_text(encoding="utf-8").splitlines() if claims.exists() else []
        names = {*record.get("files", ()), *claimed, RECORD_NAME}
        return {name for name in names if _is_inside(name)}

    def _refuse_foreign_files(self) -> None:
        owned = self._owned()
        there = [name for name in _FIXED_OUTPUTS if (self.path / name).exists()]
        there += [f"{folder}/{file.name}" for folder in _FOLDERS for file in sorted((self.path / folder).glob("*"))]
        foreign = [name for name in there if name not in owned and not name.endswith(".part")]
        if foreign:
            raise ConfigError(f"{self.path / foreign[0]} is there and no run wrote it; use another --out")


def _differences(identity: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Names of the entries in which two runs differ, one level deep."""
    found = []
    for key in _IDENTITY_KEYS:
        ours, theirs = identity[key], earlier.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            names = sorted({*ours, *theirs} - NEUTRAL_OPTIONS - _TOLD_BY_HASH)
            found += [f"{key}.{name}" for name in names if ours.get(name) != theirs.get(name)]
        elif ours != theirs:
            found.append(key)
    return found


def _is_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
