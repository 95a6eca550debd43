"""HQ-SAM's protocol: masks from boxes on finely annotated photos, by mean IoU and Boundary IoU (HQ-SAM, section 4).

The box is that of the annotation, not moved, and one mask is asked for. As published, photo and annotation are
stretched to a square of 1024 pixels, whatever their shape, and the low-resolution logits to the annotation's size; by
default the photo keeps its shape instead, as in all other uses of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from persam_hq.errors import EvaluationError, InputError
from persam_hq.evaluation.label_maps import Frame, describe_size
from persam_hq.evaluation.metrics.overlap import MaskPair, OverlapRow, mean_boundary_iou, mean_image_iou
from persam_hq.evaluation.metrics.region import Mask
from persam_hq.io.images import read_grey, read_image
from persam_hq.personalization import mask_box
from persam_hq.predictor import ImageModel, decode, encode
from persam_hq.types import MaskPrediction, PromptSet

COLUMNS = ("mIoU", "mBIoU")
FOREGROUND_ABOVE = 128
"""Threshold of annotations, 0 to 255, as in HQ-SAM's script."""
PUBLISHED_SIDE = 1024
"""Side of the square that HQ-SAM's script stretches photos to, in pixels."""
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})

SETS = (
    ("DIS5K-VD", "DIS5K/DIS-VD", "im", "gt"),
    ("COIFT", "thin_object_detection/COIFT", "images", "masks"),
    ("HRSOD", "thin_object_detection/HRSOD", "images", "masks_max255"),
    ("ThinObject5K-TE", "thin_object_detection/ThinObject5K", "images_test", "masks_test"),
)
"""Name, folder, and folders of photos and annotations within: what HQ-SAM is evaluated on, as HQSeg-44K has it."""

Segment = Callable[[Frame, NDArray[np.uint8]], Mask]
"""From a photo (H, W, 3) uint8 RGB and its annotation (H, W) uint8, 0 to 255, to the mask (H, W) bool."""


@dataclass(frozen=True, slots=True)
class HQSet:
    """Photos and annotations of one data set, in order of name. Files are read on demand."""

    name: str
    pairs: tuple[tuple[Path, Path], ...]

    def read(self, index: int) -> tuple[Frame, NDArray[np.uint8]]:
        """A photo (H, W, 3) uint8 RGB and its annotation (H, W) uint8, of one size."""
        first, second = self.pairs[index]
        try:
            photo, annotation = read_image(first), read_grey(second)
        except InputError as exc:
            raise EvaluationError(str(exc)) from exc
        if annotation.shape != photo.shape[:2]:
            size, wanted = describe_size(annotation.shape), describe_size(photo.shape)
            raise EvaluationError(f"{second} is {size}: expected {wanted}, the size of its photo; replace it")
        if not (annotation > FOREGROUND_ABOVE).any():
            raise EvaluationError(f"{second} marks nothing: expected values above {FOREGROUND_ABOVE}; replace it")
        return photo, annotation


def read_hq(root: Path | str, *, every: int = 1) -> list[HQSet]:
    """Those of HQ-SAM's sets that are below ROOT, or ROOT itself as a set; every N-th photo of each."""
    root = Path(root)
    if not root.is_dir():
        raise EvaluationError(
            f"{root} is no folder: expected a ROOT with DIS5K or thin_object_detection; check the path"
        )

    # The published sets, in the published folders or directly below ROOT
    found = []
    for name, folder, photos, masks in SETS:
        for place in (root / folder, root / Path(folder).name):
            if (place / photos).is_dir():
                found.append(_read_set(name, place / photos, place / masks, every=every))
                break
    if found:
        return found

    # ROOT as a set of its own
    for _, _, photos, masks in SETS:
        if (root / photos).is_dir() and (root / masks).is_dir():
            return [_read_set(root.name, root / photos, root / masks, every=every)]
    known = ", ".join(f"{folder}/{photos}" for _, folder, photos, _ in SETS)
    raise EvaluationError(f"{root} holds no set: expected {known}, or im and gt, or images and masks; check ROOT")


def _read_set(name: str, photos: Path, annotations: Path, *, every: int) -> HQSet:
    """Every N-th photo of a folder with its annotation; refused where a photo has none."""
    if not annotations.is_dir():
        raise EvaluationError(f"{annotations} is missing: expected an annotation for each photo in {photos}; add it")
    by_stem = {path.stem: path for path in _images(annotations)}
    pairs = [(path, by_stem.get(path.stem)) for path in _images(photos)]
    missing = [path.name for path, annotation in pairs if annotation is None]
    if missing:
        raise EvaluationError(f"{photos / missing[0]} has no annotation in {annotations}; add it")
    known = tuple((path, annotation) for path, annotation in pairs if annotation is not None)[::every]
    if not known:
        raise EvaluationError(f"{photos} holds no photo: expected JPEG or PNG files; check ROOT")
    return HQSet(name=name, pairs=known)


def _images(folder: Path) -> list[Path]:
    """JPEG and PNG files of a folder, in order of name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def evaluate_hq(segment: Segment, sets: Sequence[HQSet]) -> Iterator[OverlapRow]:
    """One row per set: mean over its photos of IoU and of Boundary IoU."""
    for photo_set in sets:
        pairs: list[MaskPair] = []
        for index in range(len(photo_set.pairs)):
            photo, annotation = photo_set.read(index)
            pairs.append((annotation > FOREGROUND_ABOVE, segment(photo, annotation)))
        yield OverlapRow(
            name=photo_set.name, images=len(pairs), scores=(mean_image_iou(pairs), mean_boundary_iou(pairs))
        )


def segment_by_box(model: ImageModel, *, with_hq: bool = True, published: bool = False) -> Segment:
    """A Segment that prompts the model with the annotation's box; `published` stretches to a square as HQ-SAM does."""
    side = PUBLISHED_SIDE if published else None

    def segment(photo: Frame, annotation: NDArray[np.uint8]) -> Mask:
        height, width = annotation.shape
        if side is None:
            found = _ask(model, photo, torch.from_numpy(annotation > FOREGROUND_ABOVE), with_hq=with_hq)
            return found.masks[0].cpu().numpy()

        # The published way: photo, annotation and logits are stretched, so the box is of the stretched annotation
        pixels = _stretched(torch.from_numpy(photo.copy()).permute(2, 0, 1), side)
        mask = _stretched(torch.from_numpy(annotation.copy())[None], side)[0] > FOREGROUND_ABOVE
        square = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy().astype(np.uint8))
        found = _ask(model, square, mask, with_hq=with_hq)
        low_res = found.low_res_logits[:1, None]
        logits = F.interpolate(low_res, size=(height, width), mode="bilinear", align_corners=False)
        return (logits[0, 0] > 0).cpu().numpy()

    return segment


def _ask(model: ImageModel, photo: Frame, mask: Tensor, *, with_hq: bool) -> MaskPrediction:
    """One mask for a photo, prompted by the box of the annotation (H, W) bool."""
    prompts = PromptSet.from_points(box=mask_box(mask))
    return decode(model, encode(model, photo, with_hq=with_hq), prompts, multimask_output=False)


def _stretched(pixels: Tensor, side: int) -> Tensor:
    """(C, H, W) to (C, side, side) float, bilinear and without averaging, as the published script does it."""
    return F.interpolate(pixels[None].float(), size=(side, side), mode="bilinear", align_corners=False)[0]
