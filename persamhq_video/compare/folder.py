"""The output folder of a comparison: files are staged in a hidden folder and moved into place once all are complete."""

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
"""In the order in which they are moved into place, after the strategies' folders: the page links to the rest."""
_STAGING: Final = ".persamhq-compare"
"""Name of the hidden folder; one that a killed comparison left is removed by the next."""


class ComparisonFolder:
    """The folder that a comparison writes to; `names` are those of its strategies."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.staging = path / _STAGING
        self._entries = (*names, *FILE_NAMES)

    def check(self, *, overwrite: bool) -> None:
        """A ConfigError where nothing can be written, or something is there that would be replaced."""
        RunDirectory(self.path).check_place()

        # An earlier comparison goes only where asked for
        earlier = self._earlier_entries()
        if earlier and not overwrite:
            raise ConfigError(f"{self.path} holds a comparison already; use --overwrite, or another --out")

        # Files of somebody else never go
        others = [name for name in self._entries if name not in earlier and (self.path / name).exists()]
        if others:
            raise ConfigError(f"{self.path / others[0]} is there and no comparison wrote it; use another --out")

    @contextmanager
    def open(self) -> Iterator[Path]:
        """The folder to write into; its entries are moved into place on leaving, or removed after an error."""
        made = _missing_folders(self.path)
        try:
            # An empty staging folder
            try:
                shutil.rmtree(self.staging, ignore_errors=True)
                self.staging.mkdir(parents=True)
            except OSError as exc:
                raise OutputError(f"cannot prepare {self.path}: {exc.strerror or exc}") from exc

            yield self.staging
            self._commit()
        finally:
            # After an error, folders that were made for the comparison go as well
            shutil.rmtree(self.staging, ignore_errors=True)
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def write_record(self, content: Mapping[str, Any]) -> None:
        """Write compare.json, whose `entries` tell a later comparison which files it may replace."""
        text = json.dumps({**content, "entries": list(self._entries)}, indent=1, ensure_ascii=False)
        atomic_write(self.staging / RECORD, f"{text}\n".encode())

    def _commit(self) -> None:
        """Replace the earlier comparison's entries by the staged ones."""
        earlier = self._earlier_entries()
        try:
            # The page goes first and comes last, so that a page in place never links to what is missing.
            for name in sorted(earlier, key=lambda name: name != PAGE):
                _remove(self.path / name)
            for name in self._entries:
                (self.staging / name).rename(self.path / name)
        except OSError as exc:
            raise OutputError(f"cannot write to {self.path}: {exc.strerror or exc}") from exc

    def _earlier_entries(self) -> list[str]:
        """The entries that an earlier comparison recorded as its own, none without a readable record."""
        try:
            content = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        entries = content.get("entries") if isinstance(content, dict) else None
        return [name for name in entries if _is_name(name)] if isinstance(entries, list) else []


def _is_name(entry: object) -> bool:
    """Whether a recorded entry names something directly in the folder, so that nothing else is ever removed."""
    return isinstance(entry, str) and Path(entry).name == entry and entry not in {"", ".", ".."}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _missing_folders(path: Path) -> list[Path]:
    """The folder and those around it that are not there yet, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]
