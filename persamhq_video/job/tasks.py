"""The videos of a job before any of them is opened: where each one is, its mask, and where its results go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persamhq_video.errors import ConfigError
from persamhq_video.io import FoundVideo, find_videos
from persamhq_video.job.manifest import MANIFEST_SUFFIXES, ManifestRow, TakesText, never_taken, read_manifest

__all__ = ["VideoTask", "collect_tasks"]


@dataclass(frozen=True, slots=True)
class VideoTask:
    """One video of a job; `options` are those in which it differs from the rest (see PER_VIDEO_OPTIONS)."""

    video: Path | str
    mask: str | Path
    out: Path
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A video as it was found, and what a manifest says about it."""

    found: FoundVideo
    where: str
    row: ManifestRow | None = None

    @property
    def own_out(self) -> Path | None:
        return None if self.row is None else self.row.out


def collect_tasks(
    given: Sequence[str], *, mask: str | None, out: Path | None, takes_text: TakesText = never_taken
) -> list[VideoTask]:
    """The videos that `given` means: files, folders of frames, folders of videos, patterns and manifests.

    A video that is named by itself has its results in `out`; as soon as there may be several, each has them in
    `out`/<stem>. Videos of a folder or pattern that share a stem mirror the folders that they lie in.
    `takes_text` tells which inputs go to a source as they are given.
    """
    wanted = _without_doubles([one for text in given for one in _wanted(text, takes_text)])
    folders = _folders(wanted, out)
    _check_folders(wanted, folders)
    return [
        VideoTask(one.found.path, _mask_of(one, mask), folder, {} if one.row is None else one.row.options)
        for one, folder in zip(wanted, folders, strict=True)
    ]


def _wanted(given: str, takes_text: TakesText) -> Iterator[_Wanted]:
    path = Path(given)
    if takes_text(None, given):
        yield _Wanted(FoundVideo(path if path.exists() else given), given)
    elif path.suffix.lower() in MANIFEST_SUFFIXES and not path.is_dir():
        for row in read_manifest(path, takes_text=takes_text):
            yield _Wanted(FoundVideo(row.video), row.where, row)
    else:
        for found in find_videos(given):
            yield _Wanted(found, str(found.path))


def _without_doubles(wanted: Sequence[_Wanted]) -> list[_Wanted]:
    """A video that two patterns match is one video; rows of a manifest may share one, with other masks."""
    first: dict[object, _Wanted] = {}
    for number, one in enumerate(wanted):
        path = one.found.path
        named = _normal(path) if isinstance(path, Path) else path
        first.setdefault(named if one.row is None else number, one)
    return list(first.values())


def _mask_of(one: _Wanted, mask: str | None) -> str:
    own = None if one.row is None else one.row.mask
    if own is None and mask is None:
        raise ConfigError(f"{one.where}: no mask; say where it is with --mask, or in a column mask of a manifest")
    return own or str(mask)


def _folders(wanted: Sequence[_Wanted], out: Path | None) -> list[Path]:
    missing = next((one for one in wanted if one.own_out is None), None)
    if out is None and missing is not None:
        raise ConfigError(f"{missing.where}: nowhere to put results; give --out, or a column out of a manifest")
    names = _names([one.found for one in wanted if one.own_out is None])
    is_alone = len(wanted) == 1 and wanted[0].row is None and wanted[0].found.root is None
    below = iter([Path()] if is_alone else names)
    # `out` is there for whoever has no folder of its own
    return [one.own_out or Path(out or "") / next(below) for one in wanted]


def _names(videos: Sequence[FoundVideo]) -> list[Path]:
    """The stem of each; with the folders below the common root where a search found several of one stem."""
    stems = Counter(video.stem for video in videos)
    roots = {_normal(video.root) for video in videos if video.root is not None}
    if not roots or max(stems.values()) == 1:
        return [Path(video.stem) for video in videos]
    # The root is that of the searches, not of what they found, so that one more video does not rename the others.
    common = os.path.commonpath(roots)
    return [
        Path(video.stem)
        if video.root is None or isinstance(video.path, str)
        else Path(os.path.relpath(_normal(video.path.parent), common), video.stem)
        for video in videos
    ]


def _check_folders(wanted: Sequence[_Wanted], folders: Sequence[Path]) -> None:
    """No two videos share a folder, and none has its own inside another's."""
    owners: dict[Path, _Wanted] = {}
    for one, folder in zip(wanted, folders, strict=True):
        other = owners.setdefault(_normal(folder), one)
        if other is not one:
            raise ConfigError(
                f"{one.where}: its results would share the folder {folder} with those of {other.where};"
                " rename one of the two videos, or give each a folder of its own in a manifest"
            )
    for place, one in owners.items():
        if (outer := next((owners[parent] for parent in place.parents if parent in owners), None)) is not None:
            raise ConfigError(
                f"{one.where}: its results in {place} would lie among those of {outer.where};"
                " give each a folder of its own in a manifest"
            )


def _normal(path: Path) -> Path:
    """Absolute and without `..`; links stay links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
