"""Names of the images in a folder of frames: what among them is no frame, such as a mask or a preview."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from persamhq_video.errors import InputError

__all__ = ["check_frame_names"]

_NO_FRAMES: Final = frozenset(
    {"annotation", "annotations", "contact", "contactsheet", "cover", "groundtruth", "gt", "label", "labels", "mask"}
    | {"masks", "matte", "mattes", "overlay", "poster", "preview", "thumb", "thumbnail", "thumbs"}
)
"""Words in names of images that belong to a video and are none of its frames."""
_LEAST_SERIES: Final = 3
"""Frames of one naming from which on another name is odd."""
_SHARE_USUAL: Final = 0.75
"""Share of the frames that have to be of one kind for another one to be odd."""
_SHOWN: Final = 3


def check_frame_names(files: Sequence[Path], modes: Sequence[str]) -> tuple[str, ...]:
    """Refuse frames that would overwrite each other's masks, and what is no frame; lines about names that are odd.

    modes: the kind of pixels of each, as Pillow names it.
    """
    _refuse_same_stem(files)

    # Images named as masks are, among others that are not
    named = [file for file in files if _NO_FRAMES & set(re.split(r"[^a-z]+", file.stem.lower()))]
    if named and len(named) < len(files):
        raise InputError(
            f"{named[0]}: is named as no frame is, among {len(files)} images that would all be tracked"
            f"{_others(named)}; move masks and previews out of the folder"
        )

    # A few files of another format and with another kind of pixels, such as a palette PNG among JPEGs
    kinds = [(file.suffix.lower(), mode) for file, mode in zip(files, modes, strict=True)]
    (suffix, mode), count = Counter(kinds).most_common(1)[0]
    others = [file for file, kind in zip(files, kinds, strict=True) if kind[0] != suffix and kind[1] != mode]
    if others and count >= max(_LEAST_SERIES, _SHARE_USUAL * len(files)):
        raise InputError(
            f"{others[0]}: is of another format and kind than the {count} other frames ({suffix[1:]}, {mode})"
            f"{_others(others)}; move masks and previews out of the folder"
        )

    # A name without a number among frames that are counted; IMG belongs to IMG (2)
    series = {file: re.sub(r"[0-9]+", "#", file.stem.casefold()) for file in files}
    usual, count = Counter(series.values()).most_common(1)[0]
    if "#" not in usual or count < _LEAST_SERIES:
        return ()
    odd = [file for file, name in series.items() if "#" not in name and not usual.startswith(name)]
    if not odd:
        return ()
    return (f"{odd[0]}: has no number as the other frames have{_others(odd)}, and is taken as a frame all the same",)


def _others(files: Sequence[Path]) -> str:
    """` (as are NAME, ...)` for all but the first."""
    if len(files) < 2:
        return ""
    more = ", ..." if len(files) > _SHOWN + 1 else ""
    return f" (and so are {', '.join(file.name for file in files[1 : _SHOWN + 1])}{more})"


def _refuse_same_stem(files: Sequence[Path]) -> None:
    """Refuse frames of the same stem, such as 1.jpg and 1.png: masks are named after stems."""
    seen: dict[str, Path] = {}
    for file in files:
        if (other := seen.setdefault(file.stem, file)) is not file:
            raise InputError(f"{file}: same name as {other.name}, results would overwrite each other; rename one")
