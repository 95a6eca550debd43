"""The tasks of a job, collected before any video is opened: where each video is, its mask, and where its results go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persam_hq.io.paths import exists, is_folder
from persam_hq.io.pictures import PictureError, read_header
from persamhq_video.errors import ConfigError, opening
from persamhq_video.io import FoundVideo, find_videos
from persamhq_video.io.readers.folder import IMAGE_SUFFIXES
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
class _Candidate:
    """A video as it was found: `where` it was named, and its row where a manifest names it."""

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
    _refuse_expanded_images(given, takes_text)
    found: list[_Candidate] = []
    for text in given:
        with opening(text):
            found.extend(_candidates(text, takes_text))
    candidates = _deduplicated(found)
    folders = _folders(candidates, out)
    _check_folders(candidates, folders)
    return [
        VideoTask(one.found.path, _mask_of(one, mask), folder, {} if one.row is None else one.row.options)
        for one, folder in zip(candidates, folders, strict=True)
    ]


def _candidates(given: str, takes_text: TakesText) -> Iterator[_Candidate]:
    """The videos that one argument means: itself, the rows of a manifest, or what a search finds."""
    path = Path(given)
    if takes_text(None, given):
        yield _Candidate(FoundVideo(path if exists(path) else given), given)
    elif path.suffix.lower() in MANIFEST_SUFFIXES and not is_folder(path):
        for row in read_manifest(path, takes_text=takes_text):
            yield _Candidate(FoundVideo(row.video), row.where, row)
    else:
        for found in find_videos(given):
            yield _Candidate(found, str(found.path))


def _refuse_expanded_images(given: Sequence[str], takes_text: TakesText) -> None:
    """Refuse images beside other videos: a pattern that the shell expanded, each of them a video of one frame."""
    images = [text for text in given if Path(text).suffix.lower() in IMAGE_SUFFIXES and Path(text).is_file()]
    images = [text for text in images if not takes_text(None, text) and not _is_animated(Path(text))]
    if len(given) > 1 and images:
        raise ConfigError(
            f"{images[0]}: an image, {len(images)} of {len(given)} videos are; each would be a video of one frame. For"
            f" images as frames of one video give their folder, {Path(images[0]).parent}"
        )


def _is_animated(image: Path) -> bool:
    """Whether an image file is an animation, which is a video of its own."""
    try:
        return read_header(image).pictures > 1
    except PictureError:
        return False


def _deduplicated(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """A video that two patterns match is one video; rows of a manifest may share one, with other masks."""
    first: dict[object, _Candidate] = {}
    for number, one in enumerate(candidates):
        path = one.found.path
        named = _absolute(path) if isinstance(path, Path) else path
        first.setdefault(named if one.row is None else number, one)
    return list(first.values())


def _mask_of(one: _Candidate, mask: str | None) -> str:
    own = None if one.row is None else one.row.mask
    if own is None and mask is None:
        raise ConfigError(f"{one.where}: no mask; say where it is with --mask, or in a column mask of a manifest")
    return own or str(mask)


def _folders(candidates: Sequence[_Candidate], out: Path | None) -> list[Path]:
    """Where the results of each video go."""
    missing = next((one for one in candidates if one.own_out is None), None)
    if out is None and missing is not None:
        raise ConfigError(f"{missing.where}: nowhere to put results; give --out, or a column out of a manifest")

    # Those without a folder of their own are named below `out`; a video alone has `out` itself
    names = _names([one.found for one in candidates if one.own_out is None])
    is_alone = len(candidates) == 1 and candidates[0].row is None and candidates[0].found.root is None
    below = iter([Path()] if is_alone else names)
    # `out` is there for whoever has no folder of its own
    return [one.own_out or Path(out or "") / next(below) for one in candidates]


def _names(videos: Sequence[FoundVideo]) -> list[Path]:
    """The stem of each; with the folders below the common root where a search found several of one stem."""
    stems = Counter(video.stem for video in videos)
    roots = {_absolute(video.root) for video in videos if video.root is not None}
    if not roots or max(stems.values()) == 1:
        return [Path(video.stem) for video in videos]
    # The root is that of the searches, not of what they found, so that one more video does not rename the others.
    common = os.path.commonpath(roots)
    return [
        Path(video.stem)
        if video.root is None or isinstance(video.path, str)
        else Path(os.path.relpath(_absolute(video.path.parent), common), video.stem)
        for video in videos
    ]


def _check_folders(candidates: Sequence[_Candidate], folders: Sequence[Path]) -> None:
    """Refuse two videos that share a folder, and one whose folder lies inside another's."""
    owners: dict[Path, _Candidate] = {}
    for one, folder in zip(candidates, folders, strict=True):
        other = owners.setdefault(_absolute(folder), one)
        if other is not one:
            raise ConfigError(
                f"{one.where}: its results would share the folder {folder} with those of {other.where};"
                " rename one of the two videos, or give each a folder of its own in a manifest"
            )

    # Of two folders inside each other, files of the inner one would lie among those of the outer one
    for place, one in owners.items():
        if (outer := next((owners[parent] for parent in place.parents if parent in owners), None)) is not None:
            raise ConfigError(
                f"{one.where}: its results in {place} would lie among those of {outer.where};"
                " give each a folder of its own in a manifest"
            )


def _absolute(path: Path) -> Path:
    """Absolute and without `..`; links stay links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
