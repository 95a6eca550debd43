"""Discovery of the inputs of a run: the videos that a path or pattern names, and the first-frame mask of each video."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from persam_hq.io.natural_order import natural_key, natural_sorted
from persam_hq.io.paths import exists, is_file, is_folder
from persamhq_video.errors import InputError
from persamhq_video.io.readers.folder import IMAGE_SUFFIXES, image_files
from persamhq_video.io.readers.stream_url import input_stem

__all__ = ["VIDEO_SUFFIXES", "FoundVideo", "find_mask_for", "find_videos"]

VIDEO_SUFFIXES: Final = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".webm"}
    | {".wmv", ".y4m"}
)
"""Suffixes by which a search recognises video files; a file that is named itself may have any other."""


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A video, and the folder that a search for it began in; None where it was named itself.

    `path` is a text where it is no file: the name of a stream, or whatever the source of a plugin accepts.
    """

    path: Path | str
    root: Path | None = None

    @property
    def stem(self) -> str:
        """The name that its results and its mask are found by."""
        if isinstance(self.path, str):
            return input_stem(self.path)
        # A folder may have a dot in its name, which is no suffix.
        return self.path.name if is_folder(self.path) else self.path.stem


# Videos


def find_videos(given: str) -> list[FoundVideo]:
    """A video file or folder of frames by itself; the videos of a folder that holds some, or of a pattern, sorted.

    Patterns are those of the shell, with ``**`` for folders at any depth; a path that exists is never a pattern.
    """
    path = Path(given)
    if is_folder(path):
        return [FoundVideo(path)] if image_files(path) else _videos_in_folder(path)
    if exists(path):
        return [FoundVideo(path)]
    if glob.has_magic(given):
        return _videos_of_pattern(given)
    raise InputError(f"{given}: no such file or folder; give a video file, a folder of frames or of videos, or a list")


def _videos_in_folder(folder: Path) -> list[FoundVideo]:
    """The videos directly in a folder, in natural order (2 before 10); hidden ones are left out."""
    files = (file for file in folder.iterdir() if file.name[0] != "." and _is_video(file))
    found = [FoundVideo(file, root=folder) for file in natural_sorted(files)]
    if not found:
        raise InputError(
            f"{folder}: no frames in it and no video files;"
            f" for those in folders below, give a pattern such as '{folder}/**/*.mp4'"
        )
    return found


def _videos_of_pattern(pattern: str) -> list[FoundVideo]:
    """The videos that match a pattern, in natural order of each folder on their path."""
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - the pattern has its own root
    root = _pattern_root(Path(pattern))

    def order(video: Path) -> list[object]:
        return [natural_key(part) for part in video.relative_to(root).parts]

    # A set, as `**` may match a file more than once
    videos = sorted({match for match in matches if _is_video(match)}, key=order)
    if not videos:
        got = f"{len(matches)} matches, none a video file or a folder of frames" if matches else "no match"
        raise InputError(f"{pattern}: {got}; expected files such as clip.mp4, or folders of frames")
    return [FoundVideo(video, root=root) for video in videos]


def _is_video(path: Path) -> bool:
    """Whether a search takes a file, by its name alone, or a folder, by the images in it."""
    if is_folder(path):
        return bool(image_files(path))
    return path.suffix.lower() in VIDEO_SUFFIXES


def _pattern_root(pattern: Path) -> Path:
    """The folder that every match lies in: the parts of the pattern before the first wildcard."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parent.parts))


# Masks


def find_mask_for(video: Path | str, mask: str | Path) -> Path:
    """The first-frame mask of ``video``, where ``mask`` is an image, a folder or a pattern.

    In a folder it is ``<stem>.png`` (or another image suffix) or, as in DAVIS, the first file of ``<stem>/``. In a
    pattern ``{stem}`` stands for the video's stem; so does ``*`` if there is no ``{stem}``, and otherwise ``*``
    matches anything as long as one file matches.
    """
    stem = FoundVideo(video).stem
    found = _mask_of_pattern(stem, str(mask)) if _is_mask_pattern(mask) else _mask_at_path(stem, Path(mask))
    if found is None:
        name = video.name if isinstance(video, Path) else video
        expected = f"expected {stem}.png or a folder {stem} of masks{_hint_if_folder_of_videos(video)}"
        raise InputError(f"{mask}: no mask for {name} there; {expected}")
    return found


def _hint_if_folder_of_videos(video: Path | str) -> str:
    """The way out where a folder of videos counts as one of frames because their masks lie in it as well."""
    if not isinstance(video, Path) or not is_folder(video):
        return ""
    beside = sorted({file.suffix for file in video.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES})
    if not beside:
        return ""
    return f" ({video} holds images, so it is a folder of frames; for the videos in it give '{video}/*{beside[0]}')"


def _is_mask_pattern(mask: str | Path) -> bool:
    # A file may have a * in its name; {stem} is never part of one.
    text = str(mask)
    return "{stem}" in text or ("*" in text and not exists(text))


def _mask_at_path(stem: str, path: Path) -> Path | None:
    """The mask where `path` is an image, or a folder that holds it; None where the folder does not."""
    if is_file(path):
        return path
    if not exists(path):
        raise InputError(f"{path}: no such mask; give an image, a folder or a pattern such as masks/{{stem}}.png")

    # PNG first: where a mask lies beside its frame, the frame is the JPEG.
    for suffix in sorted(IMAGE_SUFFIXES, key=lambda known: (known != ".png", known)):
        for spelt in (suffix, suffix.upper()):
            if is_file(candidate := path / f"{stem}{spelt}"):
                return candidate
    return _first_image(path / stem)


def _mask_of_pattern(stem: str, pattern: str) -> Path | None:
    """The mask that a pattern names for a video of that stem; None where nothing matches."""
    # A * alone stands for the stem, so there is one candidate.
    if "{stem}" not in pattern:
        candidate = Path(pattern.replace("*", stem))
        if is_folder(candidate):
            return _first_image(candidate)
        return candidate if is_file(candidate) else None

    # Only what the user wrote is a wildcard, not a bracket in the video's name.
    named = pattern.replace("{stem}", glob.escape(stem))
    matches = natural_sorted(Path(match) for match in glob.glob(named))  # noqa: PTH207 - root unknown
    if len(matches) > 1:
        raise InputError(f"{pattern}: matches {len(matches)} files for {stem}, such as {matches[0].name}; expected one")
    if matches and is_folder(matches[0]):
        return _first_image(matches[0])
    return matches[0] if matches else None


def _first_image(folder: Path) -> Path | None:
    """The first image of a folder in natural order, None where there is no such folder or no image in it."""
    files = image_files(folder) if is_folder(folder) else ()
    return files[0] if files else None
