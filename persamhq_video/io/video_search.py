"""Which videos a path or a pattern means."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from persam_hq.file_order import natural_key
from persamhq_video.errors import InputError
from persamhq_video.io.folder import image_files
from persamhq_video.io.stream_names import input_stem

VIDEO_SUFFIXES: Final = frozenset(
    {".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".webm"}
    | {".wmv", ".y4m"}
)


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A video, and the folder that a search for it began in; None where it was named itself.

    `path` is a text where it is no file: the name of a stream, or what a plugin's source takes.
    """

    path: Path | str
    root: Path | None = None

    @property
    def stem(self) -> str:
        """What its results and its mask are named after."""
        if isinstance(self.path, str):
            return input_stem(self.path)
        return self.path.name if self.path.is_dir() else self.path.stem


def find_videos(given: str) -> list[FoundVideo]:
    """A video file or folder of frames by itself; the videos of a folder that holds some, or of a pattern, sorted.

    Patterns are those of the shell, with ``**`` for folders at any depth; a path that exists is never a pattern.
    """
    path = Path(given)
    if path.is_dir():
        return [FoundVideo(path)] if image_files(path) else _in_folder(path)
    if path.exists():
        return [FoundVideo(path)]
    if glob.has_magic(given):
        return _in_pattern(given)
    raise InputError(f"{given}: no such file or folder; give a video file, a folder of frames or of videos, or a list")


def _in_folder(folder: Path) -> list[FoundVideo]:
    files = (file for file in folder.iterdir() if file.name[0] != "." and _is_video(file))
    found = [FoundVideo(file, root=folder) for file in sorted(files, key=natural_key)]
    if not found:
        raise InputError(
            f"{folder}: no frames in it and no video files;"
            f" for those in folders below, give a pattern such as '{folder}/**/*.mp4'"
        )
    return found


def _in_pattern(pattern: str) -> list[FoundVideo]:
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - the pattern has its own root
    root = _fixed_part(Path(pattern))
    videos = sorted({match for match in matches if _is_video(match)}, key=lambda found: _depth_key(root, found))
    if not videos:
        got = f"{len(matches)} matches, none a video file or a folder of frames" if matches else "no match"
        raise InputError(f"{pattern}: {got}; expected files such as clip.mp4, or folders of frames")
    return [FoundVideo(video, root=root) for video in videos]


def _is_video(path: Path) -> bool:
    """What counts as a video among other files, by its name alone; a folder counts by what is in it."""
    if path.is_dir():
        return bool(image_files(path))
    return path.suffix.lower() in VIDEO_SUFFIXES


def _fixed_part(pattern: Path) -> Path:
    """The folder that every match lies in."""
    return Path(*_until_magic(pattern.parent.parts))


def _until_magic(parts: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _depth_key(root: Path, video: Path) -> list[object]:
    return [natural_key(Path(part)) for part in video.relative_to(root).parts]
