"""The folder of a run: what an earlier run left in it, whether that run is resumed, and which files are the run's own.

A run is asked for by its identity (configuration, numeric fingerprint, inputs, plugins). `RunDirectory.decide` compares
it with the journal of an unfinished run or with the run.json of a complete one, before anything is written. It needs no
torch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from persam_hq.io.atomic import atomic_write, part_path
from persamhq_video.config import NEUTRAL_OPTIONS
from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.output.journal import check_unlocked, read_head
from persamhq_video.output.record_file import RECORD_NAME, read_record, write_record

__all__ = ["LABEL_FOLDER", "Decision", "RunDirectory"]

Decision = Literal["run", "resume", "restart", "done"]
"""What there is to do: a new run, the rest of an unfinished one, an unfinished one from its start, or nothing."""

LABEL_FOLDER: Final = "masks"
_HIDDEN_NAME: Final = ".persamhq"
_JOURNAL_NAME: Final = f"{_HIDDEN_NAME}/ledger.jsonl"
_CLAIMS_NAME: Final = f"{_HIDDEN_NAME}/files"
_OLD_CLAIMS_NAME: Final = ".persamhq-files"
"""Where the claims of a run were before runs could be resumed."""
_FIXED_OUTPUTS: Final = ("masks.mkv", "overlay.mp4", "scores.csv")
_FOLDERS: Final = (LABEL_FOLDER, "mattes")
_IDENTITY_KEYS: Final = ("config", "fingerprint", "inputs", "plugins")
_TOLD_BY_HASH: Final = frozenset({"checkpoint", "plugins"})
"""Options that are paths: the hash of the file behind each is in the identity, so the file may move."""


class RunDirectory:
    """Claims every file before it is written, so that even a killed run's files can be told from a user's.

    While there is a journal in the hidden folder the run is unfinished, whatever run.json says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hidden = path / _HIDDEN_NAME
        self.journal_path = path / _JOURNAL_NAME
        self.is_open = False
        self.decision: Decision = "run"
        self._claims: dict[str, None] = {}

    @property
    def resumes(self) -> bool:
        """Whether an unfinished run goes on from where it stopped."""
        return self.decision == "resume"

    def check_place(self) -> None:
        """Refuse a path that no folder can be made at."""
        if "\0" in str(self.path):
            raise ConfigError(f"got --out {str(self.path)!r}, which no folder can be named; give another one")
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"--out {self.path} is a file; give a folder")

        # The nearest thing above that exists decides, as every folder below it will be made
        nearest = next(p for p in (self.path, *self.path.absolute().parents) if os.path.lexists(p))
        if not nearest.is_dir():
            what = "a file" if nearest.exists() else "a link to nothing"
            raise ConfigError(f"--out {self.path} cannot be made: {nearest} is {what}; give another folder")
        if not os.access(nearest, os.W_OK):
            raise ConfigError(f"--out {self.path} cannot be written: no permission in {nearest}")

    def decide(
        self,
        identity: Mapping[str, Any],
        *,
        schema: str,
        overwrite: bool,
        no_resume: bool,
        files: Sequence[str] = (),
    ) -> Decision:
        """Compare with what is in the folder; one that another run or somebody else uses is a ConfigError.

        `schema` is that of the snapshots of this version (see `output.snapshots.state_schema`). `files` are those that
        the run will make in the end, of which nothing may be there that no run made.
        """
        self.decision = self._decision(identity, schema=schema, overwrite=overwrite, no_resume=no_resume, files=files)
        return self.decision

    def open(self) -> None:
        """Make the folder; what an earlier run left in it goes, but for what a resumed run builds on."""
        check_unlocked(self.journal_path)
        try:
            self._remove_earlier()
            atomic_write(self.path / _CLAIMS_NAME, "".join(f"{name}\n" for name in self._claims).encode())
        except OSError as exc:
            raise OutputError(f"cannot prepare {self.path}: {exc.strerror or exc}") from exc
        self.is_open = True

    def owns(self, name: str) -> bool:
        """Whether the run has claimed a file, in this attempt or an earlier one."""
        return name in self._claims

    def claim(self, name: str) -> Path:
        """The path of a file that the run is about to write; its folder is there."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if name not in self._claims:
                with (self.path / _CLAIMS_NAME).open("a", encoding="utf-8") as claims:
                    claims.write(f"{name}\n")
                    # Label maps are many, and are known again by their bytes where a power failure took the claim
                    if _is_result(name):
                        claims.flush()
                        os.fsync(claims.fileno())
        except OSError as exc:
            raise OutputError(f"cannot write to {self.path}: {exc.strerror or exc}") from exc
        self._claims[name] = None
        return path

    def close(self) -> None:
        """Give up the folder; closing twice is harmless."""

    def write_record(self, record: Mapping[str, Any], *, final: bool) -> None:
        """Write run.json; the final one lists the files that are there.

        What a run needs in order to be resumed is removed once a complete record is on the disk, the journal first.
        """
        files = [name for name in self._claims if (self.path / name).exists()] if final else []
        write_record(self.path, {**record, "files": files})
        if final and (record.get("status") == "complete" or not self.journal_path.exists()):
            try:
                self._remove_hidden()
            except OSError as exc:
                raise OutputError(f"cannot write {self.path / RECORD_NAME}: {exc.strerror or exc}") from exc

    def _decision(
        self, identity: Mapping[str, Any], *, schema: str, overwrite: bool, no_resume: bool, files: Sequence[str]
    ) -> Decision:
        # Without a run in the folder, or with one that is to be overwritten
        head = None if overwrite else read_head(self.journal_path)
        unfinished = None if head is None else head.identity
        earlier = None if overwrite else unfinished or self._read_record()
        if earlier is None:
            self._refuse_foreign_files(files)
            return "run"

        # With another run, or one that may not be touched
        if unfinished is None and earlier.get("status") != "complete":
            status = earlier.get("status", "unknown")
            raise ConfigError(f"{self.path} holds a run that is not complete (status: {status}); use --overwrite")
        self._refuse_another(identity, earlier)
        if no_resume:
            raise ConfigError(f"{self.path} holds this run already, and no_resume is set; use --overwrite")

        # With this very run, complete or not
        if unfinished is None:
            self._accept(earlier)
            return "done"
        # Label maps that lost their claim to a power failure are looked at one by one; see `ResultWriter`
        self._refuse_foreign_files(files, besides=LABEL_FOLDER)
        # Another version may have computed other masks, so nothing of such a run is built on
        return "resume" if head is not None and head.schema == schema else "restart"

    def _remove_earlier(self) -> None:
        # Files of the earlier run: all of them, or those that only a complete run has
        owned = self._owned()
        results = {name for name in owned if _is_result(name)}
        for name in results if self.resumes else owned:
            (self.path / name).unlink(missing_ok=True)
        for name in owned:
            part_path(self.path / name).unlink(missing_ok=True)

        if self.resumes:
            # In order of their names, which is the order of the frames
            self._claims = dict.fromkeys(sorted(owned - {RECORD_NAME}))
            return
        # Their folders, the deepest first, and what the earlier run kept for itself
        for folder in sorted({*_FOLDERS, *_folders_of(results)}, reverse=True):
            _remove_if_empty(self.path / folder)
        self._remove_hidden()
        self._claims = {}

    def _remove_hidden(self) -> None:
        (self.path / _OLD_CLAIMS_NAME).unlink(missing_ok=True)
        if self.hidden.is_symlink():
            raise OSError(f"{self.hidden} is a link")
        if self.hidden.is_dir():
            # First the journal: without it nobody takes the rest for an unfinished run
            self.journal_path.unlink(missing_ok=True)
            shutil.rmtree(self.hidden)

    def _read_record(self) -> Mapping[str, Any] | None:
        """The record of the earlier run; a run that was killed before it wrote one has claims alone."""
        return read_record(self.path) or ({"status": "killed"} if self._claimed() else None)

    def _claimed(self) -> set[str]:
        """Names in the lists of claims, but for the last line where it was torn."""
        lists = [path for path in (self.path / _CLAIMS_NAME, self.path / _OLD_CLAIMS_NAME) if path.exists()]
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in lists]
        return {line[:-1] for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")}

    def _owned(self) -> set[str]:
        """Names of the files that an earlier run wrote here."""
        record = self._read_record() or {}
        names = {*record.get("files", ()), *self._claimed(), RECORD_NAME}
        return {name for name in names if _is_inside(name)}

    def _refuse_another(self, identity: Mapping[str, Any], earlier: Mapping[str, Any]) -> None:
        differing = _differences(identity, earlier)
        if differing:
            raise ConfigError(
                f"{self.path} holds another run (different: {', '.join(differing)}); use another --out or --overwrite"
            )

    def _accept(self, record: Mapping[str, Any]) -> None:
        """Check that the files of a complete run are there, and remove what a kill left of its clean-up."""
        missing = [name for name in record.get("files", ()) if not (self.path / name).exists()]
        if missing:
            raise ConfigError(f"{self.path} holds a run whose {missing[0]} is missing; use --overwrite")
        with contextlib.suppress(OSError):  # harmless where it stays
            self._remove_hidden()

    def _refuse_foreign_files(self, files: Sequence[str], *, besides: str = "") -> None:
        owned = self._owned()
        folders = [folder for folder in _FOLDERS if folder != besides]
        there = [name for name in dict.fromkeys((*_FIXED_OUTPUTS, *files)) if (self.path / name).exists()]
        there += [f"{folder}/{file.name}" for folder in folders for file in sorted((self.path / folder).glob("*"))]
        foreign = [name for name in there if name not in owned and not name.endswith(".part")]
        if foreign:
            raise ConfigError(f"{self.path / foreign[0]} is there and no run wrote it; use another --out")


def _differences(identity: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Names of the entries in which two runs differ, one level deep; options that no result depends on do not count."""
    found = []
    for key in _IDENTITY_KEYS:
        ours, theirs = identity[key], earlier.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            names = sorted({*ours, *theirs} - NEUTRAL_OPTIONS - _TOLD_BY_HASH)
            found += [f"{key}.{name}" for name in names if ours.get(name) != theirs.get(name)]
        elif ours != theirs:
            found.append(key)
    return found


def _is_result(name: str) -> bool:
    """Whether a file is made at the end of a run, so that an unfinished one should not have it."""
    return name != RECORD_NAME and not name.startswith(f"{LABEL_FOLDER}/")


def _folders_of(names: Iterable[str]) -> set[str]:
    """Every folder that leads to one of the files, the run's own one left out."""
    return {str(folder) for name in names for folder in Path(name).parents if folder != Path()}


def _is_inside(name: str) -> bool:
    """Whether a name stays in the folder: run.json may have been edited, and what it names is removed."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
