"""The folder of a run: what an earlier run left in it, whether that run is resumed, and which files are the run's own.

A run is asked for by its identity (configuration, numeric fingerprint, inputs, plugins). `RunDirectory.decide` compares
it with the journal of an unfinished run or with the run.json of a complete one, before anything is written. It needs no
torch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

from persam_hq.io.atomic import part_path
from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.output.claims_file import ClaimsFile
from persamhq_video.output.finished_run import FinishedRun, sum_of
from persamhq_video.output.journal import JournalHead, read_head
from persamhq_video.output.lock import FolderLock
from persamhq_video.output.record_file import RECORD_NAME, files_in, read_record, write_record
from persamhq_video.output.run_identity import differences

__all__ = ["LABEL_FOLDER", "Decision", "RunDirectory", "WantedFiles"]

Decision = Literal["run", "resume", "restart", "remake", "done"]
"""What there is to do: a new run, the rest of an unfinished one, one from its start again, files that a complete one
lacks, or nothing."""

LABEL_FOLDER: Final = "masks"
_HIDDEN_NAME: Final = ".persamhq"
_JOURNAL_NAME: Final = f"{_HIDDEN_NAME}/ledger.jsonl"
_SECOND_JOURNAL_NAME: Final = f"{_HIDDEN_NAME}/again.jsonl"
"""Of a complete run that lacks files: it stays complete while they are made."""
_LOCK_NAME: Final = f"{_HIDDEN_NAME}/lock"
_CHANGED_NAME: Final = "changed"
"""Folder for files that were not as the run left them: they are made anew, and what somebody did to them is kept."""
_CLAIMS_NAME: Final = f"{_HIDDEN_NAME}/files"
_OLD_CLAIMS_NAME: Final = ".persamhq-files"
"""Where the claims of a run were before runs could be resumed."""
_FIXED_OUTPUTS: Final = ("masks.mkv", "overlay.mp4", "scores.csv")
_FOLDERS: Final = (LABEL_FOLDER, "mattes")


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """The files that a run is to leave.

    files: those that are made of the frames, of which nothing may be there that no run made; labels: whether label maps
    are wanted too; from_scores: files that cannot be made without the scores; plugins: those that files come from.
    """

    files: tuple[str, ...] = ()
    labels: bool = False
    from_scores: frozenset[str] = frozenset()
    plugins: frozenset[str] = frozenset()


class RunDirectory:
    """Claims every file before it is written, so that even a killed run's files can be told from a user's.

    While there is a journal in the hidden folder the run is unfinished, whatever run.json says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hidden = path / _HIDDEN_NAME
        self.is_open = False
        self.decision: Decision = "run"
        self.note: str | None = None
        """What a user should know of the decision."""
        self.finished: FinishedRun | None = None
        """The complete run that is there, where files of it are missing."""
        self.missing: tuple[str, ...] = ()
        """Those files."""
        self._lock = FolderLock(path / _LOCK_NAME)
        self._claims: dict[str, None] = {}
        self._claims_file = ClaimsFile(path / _CLAIMS_NAME, earlier=path / _OLD_CLAIMS_NAME)
        self._decide_again: Callable[[], Decision] | None = None

    @property
    def resumes(self) -> bool:
        """Whether an unfinished run goes on from where it stopped."""
        return self.decision == "resume"

    @property
    def journal_path(self) -> Path:
        """Where the journal of the run is."""
        return self.path / (_SECOND_JOURNAL_NAME if self.decision == "remake" else _JOURNAL_NAME)

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
        wanted: WantedFiles | None = None,
    ) -> Decision:
        """Compare with what is in the folder; one that another run or somebody else uses is a ConfigError.

        `schema` is that of the snapshots of this version (see `output.snapshots.state_schema`); `wanted` are the files
        that the run will make in the end.
        """
        self._decide_again = partial(
            self._decision,
            identity,
            schema=schema,
            overwrite=overwrite,
            no_resume=no_resume,
            wanted=wanted or WantedFiles(),
        )
        self.decision = self._decide_again()
        return self.decision

    def open(self) -> None:
        """Make the folder, and lock it; what an earlier run left in it goes, but for what this one builds on.

        A ConfigError where another run uses the folder, or has used it since it was looked at: nothing is touched.
        """
        made = [folder for folder in (self.path, *self.path.absolute().parents) if not folder.exists()]
        try:
            self._refuse_links(())
            self._lock.acquire()
            try:
                self._check_decision()
            except BaseException:
                self._lock.remove()
                for folder in made:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                raise
            self._set_changed_aside()
            self._remove_earlier()
            self._claims_file.write(self._claims)
        except OSError as exc:
            raise OutputError(f"cannot prepare {self.path}: {exc.strerror or exc}") from exc
        self.is_open = True

    def close(self) -> None:
        """Let other runs use the folder; closing twice is harmless."""
        self._lock.release()

    def owns(self, name: str) -> bool:
        """Whether the run has claimed a file, in this attempt or an earlier one."""
        return name in self._claims

    def claim(self, name: str) -> Path:
        """The path of a file that the run is about to write; its folder is there."""
        path = self.path / name
        try:
            self._refuse_links((name,))
        except ConfigError as exc:
            raise OutputError(str(exc)) from exc
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if name not in self._claims:
                # Label maps are many, and are known again by their bytes where a power failure took the claim
                self._claims_file.add(name, durable=_is_result(name))
        except OSError as exc:
            raise OutputError(f"cannot write to {self.path}: {exc.strerror or exc}") from exc
        self._claims[name] = None
        return path

    def write_record(self, record: Mapping[str, Any], *, final: bool) -> None:
        """Write run.json; the final one lists the files that are there, and ends the use of the folder.

        What a run needs in order to be resumed is removed once a complete record is on the disk, the journal first.
        """
        # A complete run stays what it is until the files that it lacks are there
        is_complete = record.get("status") == "complete"
        if self.decision == "remake" and not is_complete:
            if final:
                self._forget_remade()
            return

        files = [name for name in self._claims if (self.path / name).exists()] if final else []
        sums = {"sums": {name: sum_of(self.path / name) for name in files}} if final and is_complete else {}
        write_record(self.path, {**record, "files": files, **sums})
        if final and (is_complete or not self.journal_path.exists()):
            try:
                self._journal_gone()
            except OSError as exc:
                raise OutputError(f"cannot write {self.path / RECORD_NAME}: {exc.strerror or exc}") from exc
            self._remove_hidden()
            self._lock.remove()
        if final:
            self.close()

    # The decision

    def _decision(
        self, identity: Mapping[str, Any], *, schema: str, overwrite: bool, no_resume: bool, wanted: WantedFiles
    ) -> Decision:
        self._refuse_links(wanted.files)
        self._lock.check_free()

        # Without a run in the folder, or with one that is to be overwritten
        head = None if overwrite else read_head(self.path / _JOURNAL_NAME)
        unfinished = None if head is None else head.identity
        earlier = None if overwrite else unfinished or self._read_record()
        if earlier is None:
            self._refuse_foreign_files(wanted.files)
            return "run"

        # With another run, or one that may not be touched
        if unfinished is None and earlier.get("status") != "complete":
            status = earlier.get("status", "unknown")
            raise ConfigError(f"{self.path} holds a run that is not complete (status: {status}); use --overwrite")
        self._refuse_another(identity, earlier, wanted)
        if no_resume:
            raise ConfigError(f"{self.path} holds this run already, and no_resume is set; use --overwrite")

        # With this very run, complete or not
        return self._decision_on_complete(earlier, wanted) if head is None else self._decision_on(head, schema, wanted)

    def _decision_on(self, head: JournalHead, schema: str, wanted: WantedFiles) -> Decision:
        """How an unfinished run goes on."""
        # Label maps that lost their claim to a power failure are looked at one by one; see `ResultWriter`
        self._refuse_foreign_files(wanted.files, besides=LABEL_FOLDER)
        # Another version may have computed other masks, so nothing of such a run is built on
        if head.schema == schema:
            return "resume"
        self.note = f"{self.path} holds an unfinished run of another version; it starts again from frame 0"
        return "restart"

    def _decision_on_complete(self, record: Mapping[str, Any], wanted: WantedFiles) -> Decision:
        """Whether a complete run has all that is wanted, and what the rest can be made of."""
        finished = FinishedRun(self.path, record)
        there = set(finished.files) - set(finished.damaged)
        self.finished, self.missing = finished, tuple(name for name in wanted.files if name not in there)
        lacks_labels = wanted.labels and not finished.num_frames
        lost = [name for name in finished.damaged if name in wanted.files or name.startswith(f"{LABEL_FOLDER}/")]
        if not self.missing and not lost and not lacks_labels:
            self._remove_leftovers()
            return "done"

        # Of the label maps, if all of them are there, else from the start
        self._refuse_foreign_files(wanted.files)
        lost_note = f"{lost[0]} is missing or not as the run left it" if lost else None
        needs_scores = any(name in wanted.from_scores for name in self.missing)
        if finished.num_frames and (finished.has_scores or not needs_scores):
            what = f"{lost_note}; makes" if lost_note else "makes"
            self.note = f"{self.path} holds this run already, complete: {what} {', '.join(self.missing)} of its frames"
            return "remake"
        reason = lost_note or "what is asked for cannot be made of its files"
        self.note = f"{self.path} holds this run already, but {reason}; it starts again from frame 0"
        return "restart"

    def _check_decision(self) -> None:
        """Look at the folder again, now that nobody else can use it."""
        if self._decide_again is not None:
            before = self.decision, self.missing
            if (self._decide_again(), self.missing) != before:
                raise ConfigError(f"{self.path} has been used by another run meanwhile; give the command again")

    # What an earlier run left

    def _set_changed_aside(self) -> None:
        """Keep what is not as the run left it, before it is made anew."""
        damaged = () if self.finished is None or self.decision not in {"remake", "restart"} else self.finished.damaged
        for name in damaged:
            if os.path.lexists(self.path / name):
                kept = self.path / _CHANGED_NAME / name
                self._refuse_links((f"{_CHANGED_NAME}/{name}",))
                kept.parent.mkdir(parents=True, exist_ok=True)
                (self.path / name).replace(kept)

    def _remove_earlier(self) -> None:
        # Files of the earlier run: all of them, or those that only a complete run has
        owned = self._owned()
        results = {name for name in owned if _is_result(name)}
        gone = {"resume": results, "remake": set(self.missing)}.get(self.decision, owned)
        for name in gone:
            self._unlink(name)
        for name in owned:
            self._unlink(name, part=True)

        if self.decision in {"resume", "remake"}:
            # In order of their names, which is the order of the frames
            self._claims = dict.fromkeys(sorted(owned - gone - {RECORD_NAME}))
            if self.decision == "remake":
                self._remove_hidden()
            return
        # Their folders, the deepest first, and what the earlier run kept for itself
        for folder in sorted({*_FOLDERS, *_folders_of(results)}, reverse=True):
            _remove_if_empty(self.path / folder)
        self._journal_gone()
        self._remove_hidden()
        self._claims = {}

    def _unlink(self, name: str, *, part: bool = False) -> None:
        """Remove a file, unless a link leads to its folder: then it is somebody else's."""
        if not any((self.path / folder).is_symlink() for folder in _folders_of([name])):
            path = self.path / name
            with contextlib.suppress(NotADirectoryError):
                (part_path(path) if part else path).unlink(missing_ok=True)

    def _journal_gone(self) -> None:
        """Remove the journal before all else: without it nobody takes the rest for an unfinished run."""
        (self.path / _OLD_CLAIMS_NAME).unlink(missing_ok=True)
        if self.hidden.is_symlink():
            raise OSError(f"{self.hidden} is a link")
        (self.path / _JOURNAL_NAME).unlink(missing_ok=True)

    def _remove_hidden(self) -> None:
        """Remove what the hidden folder holds, but for the lock; what cannot be removed does no harm."""
        with contextlib.suppress(OSError):
            for entry in [] if self.hidden.is_symlink() else list(self.hidden.iterdir()):
                if entry == self.path / _LOCK_NAME:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Remove what a kill left of the clean-up of a complete run, unless that is still going on."""
        if self.hidden.exists():
            with contextlib.suppress(OSError, ConfigError):
                self._lock.acquire(patience=0)
                # Files that were made for it, and did not make it into its record
                recorded = set(files_in(self._read_record() or {}))
                for name in self._claims_file.read() - recorded - {RECORD_NAME}:
                    self._unlink(name)
                self._remove_hidden()
                self._lock.remove()

    def _forget_remade(self) -> None:
        """Remove the files that a complete run lacked and that could not all be made; it stays as it was."""
        for name in self.missing:
            self._unlink(name)
        self._remove_hidden()
        self._lock.remove()

    def _read_record(self) -> Mapping[str, Any] | None:
        """The record of the earlier run; a run that was killed before it wrote one has claims alone."""
        return read_record(self.path) or ({"status": "killed"} if self._claims_file.read() else None)

    def _owned(self) -> set[str]:
        """Names of the files that an earlier run wrote here."""
        try:
            record = read_record(self.path) or {}
        except ConfigError:  # it is garbled, and the claims say what an unfinished run has made
            record = {}
        return {*files_in(record), *self._claims_file.read(), RECORD_NAME}

    def _refuse_another(self, identity: Mapping[str, Any], earlier: Mapping[str, Any], wanted: WantedFiles) -> None:
        differing = differences(identity, earlier, wanted.plugins)
        if differing:
            raise ConfigError(
                f"{self.path} holds another run (different: {', '.join(differing)}); use another --out or --overwrite"
            )

    def _refuse_links(self, names: Iterable[str]) -> None:
        """Refuse folders that lead elsewhere: those of the files of these names, and the run's own."""
        folders = {_HIDDEN_NAME, *_FOLDERS, _CHANGED_NAME, *_folders_of(names)}
        links = [self.path / folder for folder in sorted(folders) if (self.path / folder).is_symlink()]
        if not self.is_open:
            # Once it is open the hidden folder is this run's, and others only get in by replacing it
            inside = [Path(root, name) for root, *names in os.walk(self.hidden) for name in chain(*names)]
            links += [path for path in inside if path.is_symlink()]
        if links:
            raise ConfigError(
                f"{links[0]} is a link, and a run writes to no other place; remove it, or use another --out"
            )

    def _refuse_foreign_files(self, files: Iterable[str], *, besides: str = "") -> None:
        owned = self._owned()
        folders = [folder for folder in _FOLDERS if folder != besides]
        there = [name for name in dict.fromkeys((*_FIXED_OUTPUTS, *files)) if os.path.lexists(self.path / name)]
        there += [f"{folder}/{file.name}" for folder in folders for file in sorted((self.path / folder).glob("*"))]
        foreign = [name for name in there if name not in owned and not name.endswith(".part")]
        if foreign:
            raise ConfigError(f"{self.path / foreign[0]} is there and no run wrote it; use another --out")


def _is_result(name: str) -> bool:
    """Whether a file is made at the end of a run, so that an unfinished one should not have it."""
    return name != RECORD_NAME and not name.startswith(f"{LABEL_FOLDER}/")


def _folders_of(names: Iterable[str]) -> set[str]:
    """Every folder that leads to one of the files, the run's own one left out."""
    return {str(folder) for name in names for folder in Path(name).parents if folder != Path()}


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()
