"""Discovery of the inputs of a run: the videos that a path or pattern names, and the first-frame mask of each video."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from string import digits
from typing import Final

from persam_hq.io.paths import exists, is_file, is_folder
from persam_hq.io.text.natural_order import natural_key, natural_sorted, numbers_in
from persamhq_video.errors import InputError
from persamhq_video.io.readers.folder import IMAGE_SUFFIXES, image_files
from persamhq_video.io.readers.stream_url import input_stem

__all__ = ["VIDEO_SUFFIXES", "FirstFrame", "FoundMask", "FoundVideo", "find_mask_for", "find_videos"]

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


_FRAME_PREFIXES: Final = ("", "f", "frame", "img", "image")
"""What stands before a frame's number in names of masks, beside the names of the video and of its frames."""

_MASK_WORDS: Final = frozenset(
    {"alpha", "annotation", "annotations", "groundtruth", "gt", "label", "labels", "mask", "masks", "matte", "seg"}
    | {"segmentation"}
)
"""Words that say that a file is a mask, before or behind the name of its frame."""
_MASK_SUFFIXES: Final = IMAGE_SUFFIXES | {".gif"}


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
        hint = _hint_if_images(matches)
        raise InputError(f"{pattern}: {got}; expected files such as clip.mp4, or folders of frames{hint}")
    return [FoundVideo(video, root=root) for video in videos]


def _hint_if_images(matches: Sequence[Path]) -> str:
    """The way out where a pattern matches the frames of a video."""
    image = next((match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES), None)
    return "" if image is None else f"; for images as frames of one video give their folder, {image.parent}"


def _is_video(path: Path) -> bool:
    """Whether a search takes a file, by its name alone, or a folder, by the images in it."""
    if is_folder(path):
        return bool(image_files(path))
    return path.suffix.lower() in VIDEO_SUFFIXES


def _pattern_root(pattern: Path) -> Path:
    """The folder that every match lies in: the parts of the pattern before the first wildcard."""
    return Path(*takewhile(lambda part: not glob.has_magic(part), pattern.parent.parts))


# Masks


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """The frame that a mask belongs to: its place in the source, and the names of all frames where they have some."""

    position: int = 0
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The frame as a user knows it."""
        return self.names[self.position] if self.names else str(self.position)


@dataclass(frozen=True, slots=True)
class FoundMask:
    """The mask of a video's first frame, and lines about masks that are not used."""

    path: Path
    notes: tuple[str, ...] = ()


def find_mask_for(video: Path | str, mask: str | Path, *, first: FirstFrame | None = None) -> FoundMask:
    """The first-frame mask of ``video``, where ``mask`` is an image, a folder or a pattern.

    In a folder it is ``<stem>.png`` (or another image suffix) or, as in DAVIS, a file of ``<stem>/``: that of the
    ``first`` frame, by its name or number. The masks may lie in the folder itself where they are named as the frames of
    a folder of frames are. In a pattern ``{stem}`` stands for the video's stem; so does ``*`` if there
    is no ``{stem}``, and otherwise ``*`` matches anything as long as one file matches.
    """
    stem = FoundVideo(video).stem
    found = _mask_of_pattern(stem, str(mask)) if _is_mask_pattern(mask) else _mask_at_path(stem, Path(mask))
    if found is None and _has_masks_of_frames(video, Path(mask)):
        found = Path(mask)
    if found is not None and found.is_dir():
        files = image_files(found)
        if files:
            return _mask_of_frame(found, files, first, stem)
        found = None
    if found is None:
        name = video.name if isinstance(video, Path) else video
        expected = f"expected {stem}.png or a folder {stem} of masks{_hint_if_folder_of_videos(video)}"
        raise InputError(f"{mask}: no mask for {name} there; {expected}")
    return FoundMask(found, () if found.stem == stem else _notes_on_name(found, first))


def _has_masks_of_frames(video: Path | str, mask: Path) -> bool:
    """Whether a folder itself holds masks by the names of the frames of a folder of frames."""
    if not isinstance(video, Path) or not is_folder(video) or not is_folder(mask) or video.resolve() == mask.resolve():
        return False
    frames = {file.stem for file in image_files(video)}
    return any(file.stem in frames for file in image_files(mask))


def _mask_of_frame(folder: Path, files: Sequence[Path], first: FirstFrame | None, stem: str) -> FoundMask:
    """Of a folder of masks that of the first frame; one of another frame is not put on it."""
    # Where no file has a frame's number, the first one in order is meant
    if first is None:
        return FoundMask(files[0], _notes_on_unused(folder, files, files[0]))
    prefixes = {*_FRAME_PREFIXES, _bare(stem), *(_bare(name.rstrip(digits)) for name in first.names[:1])}
    numbered = {file: number for file in files if (number := _frame_number(file, prefixes)) is not None}
    if not numbered:
        return FoundMask(files[0], _notes_on_unused(folder, files, files[0]))
    found = next((file for file in files if _is_of_frame(file, numbered, first)), None)
    if found is None and len(numbered) < len(files):
        found = next(file for file in files if file not in numbered)
    if found is None:
        names = ", ".join(file.name for file in files[:3])
        raise InputError(
            f"{folder}: no mask for frame {first.name}, which the run begins with; got {names}"
            f"{', ...' if len(files) > 3 else ''}; use --start to begin with a frame that has one, or rename it"
        )
    return FoundMask(found, _notes_on_unused(folder, files, found))


def _frame_number(mask: Path, prefixes: Collection[str]) -> int | None:
    """The number of the frame that a mask is named after, such as 5 of 00005, frame_5 or 00005_mask."""
    match = re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", mask.stem)
    return int(match.group(2)) if match and _bare(match.group(1)) in prefixes else None


def _bare(prefix: str) -> str:
    """A prefix without case, without what parts it from the number, and without words for masks at either end."""
    bare = prefix.casefold().strip("-_. ")
    while bare:
        parts = re.split(r"[-_. ]+", bare)
        if parts[0] in _MASK_WORDS:
            bare = bare[len(parts[0]) :].lstrip("-_. ")
        elif parts[-1] in _MASK_WORDS:
            bare = bare[: -len(parts[-1])].rstrip("-_. ")
        else:
            break
    return bare


def _is_of_frame(file: Path, numbered: Mapping[Path, int], first: FirstFrame) -> bool:
    """Whether a mask is that of the first frame: by the frame's name, or its number where names are written otherwise.

    Frames of a video file count from 0; a folder of masks that counts from 1 has its first one for frame 0.
    """
    if first.names:
        if any(mask.stem in first.names for mask in numbered):
            return file.stem == first.name
        wanted = numbers_in(first.name)
        return bool(wanted) and numbered.get(file) == wanted[-1]
    is_from_1 = first.position == 0 and min(numbered.values()) == 1
    return numbered.get(file) == (1 if is_from_1 else first.position)


def _notes_on_unused(folder: Path, files: Sequence[Path], used: Path) -> tuple[str, ...]:
    if len(files) == 1:
        return ()
    others = [file.name for file in files if file != used]
    names = f"{', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
    return (f"{folder}: a run begins with one mask, {used.name}; {len(others)} more not used ({names})",)


def _notes_on_name(mask: Path, first: FirstFrame | None) -> tuple[str, ...]:
    """A word on a mask that is named as a later frame is."""
    if first is None or not mask.stem.isascii() or not mask.stem.isdigit():
        return ()
    if first.names:
        is_of_another = mask.stem != first.name and mask.stem in first.names
    else:
        is_of_another = int(mask.stem) not in {first.position, first.position + 1}
    if not is_of_another:
        return ()
    return (f"{mask}: is named as another frame, and is put on frame {first.name}, the first one; see --start",)


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
    """The mask where `path` is an image, or a folder that holds it or its folder; None where it does not."""
    if is_file(path):
        return path
    if not exists(path):
        raise InputError(f"{path}: no such mask; give an image, a folder or a pattern such as masks/{{stem}}.png")

    # PNG first: where a mask lies beside its frame, the frame is the JPEG.
    for suffix in sorted(_MASK_SUFFIXES, key=lambda known: (known != ".png", known)):
        for spelt in (suffix, suffix.upper()):
            if is_file(candidate := path / f"{stem}{spelt}"):
                return candidate
    return path / stem if is_folder(path / stem) else None


def _mask_of_pattern(stem: str, pattern: str) -> Path | None:
    """The mask, or the folder of masks, that a pattern names for a video of that stem; None where nothing matches."""
    # A * alone stands for the stem, so there is one candidate.
    if "{stem}" not in pattern:
        candidate = Path(pattern.replace("*", stem))
        return candidate if exists(candidate) else None

    # Only what the user wrote is a wildcard, not a bracket in the video's name.
    named = pattern.replace("{stem}", glob.escape(stem))
    matches = natural_sorted(Path(match) for match in glob.glob(named))  # noqa: PTH207 - root unknown
    if len(matches) > 1:
        raise InputError(f"{pattern}: matches {len(matches)} files for {stem}, such as {matches[0].name}; expected one")
    return matches[0] if matches else None
