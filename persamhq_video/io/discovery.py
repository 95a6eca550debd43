"""Which videos a path or a pattern means."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from persam_hq.io.paths import natural_key
from persamhq_video.errors import InputError
from persamhq_video.io.readers.folder import IMAGE_SUFFIXES, image_files
from persamhq_video.io.readers.stream_url import input_stem

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


def find_mask_for(video: Path | str, mask: str | Path) -> Path:
    """The first-frame mask of ``video``, where ``mask`` is an image, a folder or a pattern.

    In a folder it is ``<stem>.png`` (or another image suffix) or, as in DAVIS, the first file of ``<stem>/``. In a
    pattern ``{stem}`` stands for the video's stem; so does ``*`` if there is no ``{stem}``, and otherwise ``*``
    matches anything as long as one file matches.
    """
    stem = FoundVideo(video).stem
    found = _from_pattern(stem, str(mask)) if _is_pattern(mask) else _from_path(stem, Path(mask))
    if found is None:
        name = video.name if isinstance(video, Path) else video
        expected = f"expected {stem}.png or a folder {stem} of masks{_taken_as_frames(video)}"
        raise InputError(f"{mask}: no mask for {name} there; {expected}")
    return found


def _taken_as_frames(video: Path | str) -> str:
    """What to do about a folder of videos that is one of frames because their masks lie in it as well."""
    if not isinstance(video, Path) or not video.is_dir():
        return ""
    beside = sorted({file.suffix for file in video.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES})
    if not beside:
        return ""
    return f" ({video} holds images, so it is a folder of frames; for the videos in it give '{video}/*{beside[0]}')"


def _is_pattern(mask: str | Path) -> bool:
    text = str(mask)
    return "{stem}" in text or ("*" in text and not Path(text).exists())


def _from_path(stem: str, path: Path) -> Path | None:
    if path.is_file():
        return path
    if not path.exists():
        raise InputError(f"{path}: no such mask; give an image, a folder or a pattern such as masks/{{stem}}.png")
    # PNG first: where a mask lies beside its frame, the frame is the JPEG.
    for suffix in sorted(IMAGE_SUFFIXES, key=lambda known: (known != ".png", known)):
        for spelt in (suffix, suffix.upper()):
            if (candidate := path / f"{stem}{spelt}").is_file():
                return candidate
    return _first_of(path / stem)


def _from_pattern(stem: str, pattern: str) -> Path | None:
    if "{stem}" not in pattern:
        candidate = Path(pattern.replace("*", stem))
        return _first_of(candidate) if candidate.is_dir() else _if_file(candidate)
    # Only what the user wrote is a wildcard, not a bracket in the video's name.
    named = pattern.replace("{stem}", glob.escape(stem))
    matches = sorted((Path(match) for match in glob.glob(named)), key=natural_key)  # noqa: PTH207 - root unknown
    if len(matches) > 1:
        raise InputError(f"{pattern}: matches {len(matches)} files for {stem}, such as {matches[0].name}; expected one")
    if matches and matches[0].is_dir():
        return _first_of(matches[0])
    return matches[0] if matches else None


def _first_of(folder: Path) -> Path | None:
    files = image_files(folder) if folder.is_dir() else ()
    return files[0] if files else None


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None
