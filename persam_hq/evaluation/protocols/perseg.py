"""The protocol of PerSeg (PerSAM, section 4): one photo shows an object, which is then found in its other photos.

Folders are PerSeg's (ROOT/Images/<object>/00.jpg, ROOT/Annotations/<object>/00.png), or one per object
(ROOT/<object>/images, ROOT/<object>/annotations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError, InputError
from persam_hq.evaluation.label_maps import Frame, describe_size
from persam_hq.evaluation.metrics.overlap import MaskPair, OverlapRow, mean_boundary_iou, pooled_iou
from persam_hq.evaluation.metrics.region import Mask
from persam_hq.io.images import read_image, read_mask

COLUMNS = ("mIoU", "bIoU")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

Find = Callable[[Frame], Mask]
"""From a photo (H, W, 3) uint8 RGB to the object's mask (H, W) bool."""
Personalize = Callable[[Frame, Mask], Find]
"""From a photo and the object's mask in it to a function that finds the object in other photos."""


@dataclass(frozen=True, slots=True)
class PersegObject:
    """One object: its photos and annotations, in order of name. Files are read on demand."""

    name: str
    photo_paths: tuple[Path, ...]
    annotation_paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        """Refuse an object with photos and annotations that do not belong together, or with fewer than two."""
        photos, annotations = ({path.stem for path in paths} for paths in (self.photo_paths, self.annotation_paths))
        if photos != annotations:
            odd = min(photos ^ annotations)
            raise EvaluationError(f"object {self.name}: {odd} is a photo or an annotation only; expected one of each")
        if len(photos) < 2:
            msg = f"object {self.name} has {len(photos)} photo: expected at least two, one to show and one to search"
            raise EvaluationError(msg)

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.photo_paths)

    def read(self, index: int) -> tuple[Frame, Mask]:
        """A photo (H, W, 3) uint8 RGB and the object's mask (H, W) bool, of one size."""
        path = self.annotation_paths[index]
        try:
            photo, mask = read_image(self.photo_paths[index]), read_mask(path)
        except InputError as exc:
            raise EvaluationError(str(exc)) from exc
        if mask.shape != photo.shape[:2]:
            size, wanted = describe_size(mask.shape), describe_size(photo.shape)
            raise EvaluationError(f"{path} is {size}: expected {wanted}, the size of its photo; replace the annotation")
        return photo, mask


def read_perseg(root: Path | str) -> list[PersegObject]:
    """All objects below ROOT, in order of name."""
    return [
        PersegObject(name=name, photo_paths=photos, annotation_paths=annotations)
        for name, photos, annotations in object_folders(Path(root))
    ]


def object_folders(root: Path) -> list[tuple[str, tuple[Path, ...], tuple[Path, ...]]]:
    """Name, photos and annotations of the objects below ROOT, in order of name; no file is read."""
    photos, annotations = root / "Images", root / "Annotations"
    if photos.is_dir():
        folders = [(path.name, path, annotations / path.name) for path in _folders(photos)]
    else:
        folders = [(path.name, path / "images", path / "annotations") for path in _folders(root)]
    objects = [(name, _files(first), _files(second)) for name, first, second in folders if first.is_dir()]
    if not objects:
        msg = (
            f"{root} holds no object: expected Images/<object> and Annotations/<object>, or <object>/images; check ROOT"
        )
        raise EvaluationError(msg)
    return objects


def evaluate_perseg(
    personalize: Personalize, objects: Sequence[PersegObject], *, every_reference: bool = False
) -> Iterator[OverlapRow]:
    """One row per object: IoU pooled over its photos, as in PerSAM's mIoU, and mean Boundary IoU.

    The first photo is the reference and the others are searched; with `every_reference` each is the reference once.
    """
    for shown in objects:
        references = range(len(shown)) if every_reference else range(1)
        pairs = [pair for reference in references for pair in _search(personalize, shown, reference)]
        yield OverlapRow(name=shown.name, images=len(pairs), scores=(pooled_iou(pairs), mean_boundary_iou(pairs)))


def _search(personalize: Personalize, shown: PersegObject, reference: int) -> Iterator[MaskPair]:
    """Annotation and found mask in each photo but the reference."""
    find = personalize(*shown.read(reference))
    for index in range(len(shown)):
        if index != reference:
            photo, annotation = shown.read(index)
            found: NDArray[Any] = np.asarray(find(photo))
            yield annotation, found


def _folders(root: Path) -> list[Path]:
    """Folders inside of ROOT, in order of name; hidden ones are left out."""
    if not root.is_dir():
        raise EvaluationError(f"{root} is no folder: expected a ROOT with the photos of each object; check the path")
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> tuple[Path, ...]:
    """JPEG and PNG files of a folder, in order of stem, so that photos and annotations line up."""
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is missing: expected an annotation for each photo; add it")
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return tuple(sorted(found, key=lambda path: path.stem))
