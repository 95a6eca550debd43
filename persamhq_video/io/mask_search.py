"""Which mask belongs to which video."""

from __future__ import annotations

import glob
from pathlib import Path

from persam_hq.file_order import natural_key
from persamhq_video.errors import InputError
from persamhq_video.io.folder import IMAGE_SUFFIXES, image_files
from persamhq_video.io.video_search import VIDEO_SUFFIXES, FoundVideo


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
