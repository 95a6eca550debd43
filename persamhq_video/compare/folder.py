"""The folder of a comparison: all is made in a hidden folder of it, and gets its name once everything is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.io import atomic_write
from persamhq_video.output.run_directory import RunDirectory

__all__ = ["FILE_NAMES", "ComparisonFolder"]

PAGE: Final = "compare.html"
TABLE: Final = "compare.csv"
VIDEO: Final = "side_by_side.mp4"
RECORD: Final = "compare.json"
FILE_NAMES: Final = (TABLE, VIDEO, RECORD, PAGE)
"""In the order in which they get their names, after the strategies' folders: the page links to the rest."""
_HIDDEN: Final = ".persamhq-compare"


class ComparisonFolder:
    """Where a comparison goes; `names` are those of its strategies."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.staging = path / _HIDDEN
        self._entries = (*names, *FILE_NAMES)

    def check(self, *, overwrite: bool) -> None:
        """A ConfigError where nothing can be written, or something is there that would be replaced."""
        RunDirectory(self.path).check_place()
        earlier = self._earlier()
        if earlier and not overwrite:
            raise ConfigError(f"{self.path} holds a comparison already; use --overwrite, or another --out")
        foreign = [name for name in self._entries if name not in earlier and (self.path / name).exists()]
        if foreign:
            raise ConfigError(f"{self.path / foreign[0]} is there and no comparison wrote it; use another --out")

    @contextmanager
    def open(self) -> Iterator[Path]:
        """The folder to write into; without an error its entries then get their names, else nothing is left of it."""
        made = _missing_folders(self.path)
        try:
            try:
                shutil.rmtree(self.staging, ignore_errors=True)
                self.staging.mkdir(parents=True)
            except OSError as exc:
                raise OutputError(f"cannot prepare {self.path}: {exc.strerror or exc}") from exc
            yield self.staging
            self._commit()
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def write_record(self, content: Mapping[str, Any]) -> None:
        """Write compare.json, which also says what is the comparison's own."""
        text = json.dumps({**content, "entries": list(self._entries)}, indent=1, ensure_ascii=False)
        atomic_write(self.staging / RECORD, f"{text}\n".encode())

    def _commit(self) -> None:
        earlier = self._earlier()
        try:
            for name in sorted(earlier, key=lambda name: name != PAGE):
                _remove(self.path / name)
            for name in self._entries:
                (self.staging / name).rename(self.path / name)
        except OSError as exc:
            raise OutputError(f"cannot write to {self.path}: {exc.strerror or exc}") from exc

    def _earlier(self) -> list[str]:
        """What an earlier comparison says it wrote."""
        try:
            content = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        entries = content.get("entries") if isinstance(content, dict) else None
        return [name for name in entries if _is_name(name)] if isinstance(entries, list) else []


def _is_name(entry: object) -> bool:
    """Whether it is the name of something in the folder itself."""
    return isinstance(entry, str) and Path(entry).name == entry and entry not in {"", ".", ".."}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _missing_folders(path: Path) -> list[Path]:
    """The folder and those around it that are not there yet, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]
