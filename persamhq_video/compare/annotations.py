"""Annotations that strategies are scored against: label maps by frame name, and the DAVIS measures on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation import EvaluationError, SequenceScore, evaluate_sequence, read_label_map
from persamhq_video.errors import InputError
from persamhq_video.io import FrameSource, FrameWindow
from persamhq_video.io.readers.folder import image_files

__all__ = ["Annotations", "open_annotations", "score_masks"]

Labels = NDArray[np.uint8]

_WHITE: Final = 255
"""The foreground of a 0/255 mask, and no object id in DAVIS."""
_FEWEST_FULL: Final = 2
"""Fewest annotated frames beyond the first of which the last one can be left out, as DAVIS does."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """PNG files by the name of their frame, which is that of the mask written for it, and the ids in all of them."""

    files: dict[str, Path]
    ids: frozenset[int]

    def labels(self, name: str) -> Labels | None:
        """The label map (H, W) uint8 of the frame with that name, None where it is not annotated."""
        file = self.files.get(name)
        return None if file is None else read_label_map(file)

    def display_labels(self, name: str, first: Labels) -> Labels | None:
        """As `labels`, to be painted beside masks of the ids in `first`: a single foreground takes their id."""
        labels = self.labels(name)
        if labels is None or not self.has_one_foreground(first):
            return labels
        return np.where(labels > 0, first[first > 0].min(), 0).astype(np.uint8)

    def has_one_foreground(self, first: Labels) -> bool:
        """Whether the annotations hold one object only, or 0/255, whatever its id in the first masks `first`."""
        is_single = len(self.ids) == 1 and np.count_nonzero(np.bincount(first.ravel())[1:]) == 1
        return is_single or self.ids == {_WHITE}


def open_annotations(folder: Path, source: FrameSource, window: FrameWindow) -> Annotations:
    """The annotations of the frames of a source; an InputError says what cannot be scored."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --annotations takes a folder of PNGs named as the frames")

    # Files of the frames that will come; without a known number of frames every PNG may be one
    names = _frame_names(source, window)
    files = {file.stem: file for file in sorted(folder.glob("*.png")) if names is None or file.stem in names}

    # The first frame is given, so an annotation of it alone scores nothing
    if not (files.keys() if names is None else files.keys() & set(names[1:])):
        example = names[1] if names is not None and len(names) > 1 else "00001"
        raise InputError(f"{folder}: annotates no frame beyond the first; expected PNGs such as {example}.png")

    # All files are read here once, so that a wrong size is found before the first frame is tracked
    size = (source.info.height, source.info.width)
    ids = [_read_ids(file, size) for file in files.values()]
    return Annotations(files, frozenset[int]().union(*ids))


def score_masks(annotations: Annotations, *, names: Sequence[str], first: Labels, masks: Path) -> SequenceScore | None:
    """J and F (DAVIS) of the label maps in the folder `masks`, on the annotated ones of the frames `names`.

    The first frame, whose label map `first` (H, W) is given, is not scored, and neither is the last one where all
    frames are annotated, as DAVIS has it. None where nothing is left.
    """
    annotated = [name for name in names[1:] if name in annotations.files]
    if not annotated:
        return None
    if len(annotated) < max(len(names) - 1, _FEWEST_FULL):
        # `evaluate_sequence` leaves out the last frame it is given; doubled, the last annotation counts after all
        annotated.append(annotated[-1])

    # DAVIS 2016 has one foreground; 2017 takes objects by their ids
    return evaluate_sequence(
        masks.parent.name,
        annotations=_maps(first, [annotations.files[name] for name in annotated]),
        predictions=_maps(first, [masks / f"{name}.png" for name in annotated]),
        frame_names=[names[0], *annotated],
        protocol="2016" if annotations.has_one_foreground(first) else "2017",
    )


def _maps(first: Labels, files: Sequence[Path]) -> Iterator[Labels]:
    yield first
    yield from map(read_label_map, files)


def _frame_names(source: FrameSource, window: FrameWindow) -> list[str] | None:
    """The names that the frames will have, None where the source does not know its number of frames."""
    if source.info.kind == "folder":
        files = image_files(Path(source.info.path))
        return [file.stem for position, file in enumerate(files) if window.wants(position)]
    count = source.num_selected
    return None if count is None else [f"{index:05d}" for index in range(count)]


def _read_ids(file: Path, size: tuple[int, int]) -> set[int]:
    """The object ids of an annotation, which has to have the frames' size (height, width)."""
    try:
        labels = read_label_map(file)
    except EvaluationError as exc:
        raise InputError(str(exc)) from exc
    if labels.shape != size:
        got, expected = f"{labels.shape[1]}x{labels.shape[0]}", f"{size[1]}x{size[0]}"
        raise InputError(f"{file}: the annotation is {got} but the frames are {expected}; it is not resized")
    return set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}
