"""A baseline of colour alone: GrabCut (Rother et al. 2004) started from where each object was a frame ago."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation.label_maps import Frame, LabelMap
from persam_hq.evaluation.metrics.boundary import boundary_radius, disk
from persam_hq.evaluation.metrics.region import Mask

BAND = 0.02
"""How far an edge may move from frame to frame, as a share of the image diagonal."""

_SURROUNDINGS = 3  # what counts as background around an object, in widths of the band
_ITERATIONS = 2
_MIN_SAMPLES = 5  # a colour model has five components
_ANY_RECT = (0, 0, 1, 1)  # OpenCV does not read it where a mask is given


def grabcut_propagation(frames: Iterable[Frame], first_mask: LabelMap) -> Iterator[LabelMap]:
    """Each object cut out along its edge by colour, frame by frame.

    The inside of the last mask, beyond a band along its edge, stays object and the outside stays background; colour
    models decide in between. They are learned on the first frame and carried from frame to frame. Objects are cut one
    by one in order of id; what one has is background to the next.
    """
    objects: dict[int, _Cut] | None = None
    for frame in frames:
        if objects is None:
            ids = np.unique(first_mask[first_mask > 0]).tolist()
            objects = {i: _begin(frame, first_mask == i) for i in ids}
            yield first_mask.copy()
            continue
        labels = np.zeros_like(first_mask)
        for object_id, cut in objects.items():
            objects[object_id], mask = _follow(cut, frame, taken=labels > 0)
            labels[mask] = object_id
        yield labels


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """Where an object was last seen, (H, W) bool, and OpenCV's colour models, or None where nothing can be learned."""

    mask: Mask
    models: tuple[NDArray[np.float64], NDArray[np.float64]] | None


def _begin(frame: Frame, mask: Mask) -> _Cut:
    """Learn the colours of an object and of what is around it."""
    window = _window(mask)
    inside = mask[window]
    if min(np.count_nonzero(inside), np.count_nonzero(~inside)) < _MIN_SAMPLES:
        return _Cut(mask=mask, models=None)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    trimap = np.where(inside, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    cv2.setRNGSeed(0)  # the components are found by k-means from random centres
    pixels = np.ascontiguousarray(frame[window])
    cv2.grabCut(pixels, trimap, _ANY_RECT, background, foreground, 1, cv2.GC_INIT_WITH_MASK)
    return _Cut(mask=mask, models=(background, foreground))


def _follow(cut: _Cut, frame: Frame, *, taken: Mask) -> tuple[_Cut, Mask]:
    """The object on the next frame; one that is not found is looked for where it was last."""
    if cut.models is None:
        return cut, cut.mask & ~taken
    window = _window(cut.mask)
    trimap = _trimap(cut.mask[window], taken=taken[window], reach=_reach(cut.mask))
    mask = np.zeros_like(cut.mask)
    if not _is_object(trimap).any():
        return cut, mask

    # OpenCV writes into what it is given
    background, foreground = (model.copy() for model in cut.models)
    pixels = np.ascontiguousarray(frame[window])
    cv2.grabCut(pixels, trimap, _ANY_RECT, background, foreground, _ITERATIONS, cv2.GC_EVAL)
    mask[window] = _is_object(trimap)
    return (replace(cut, mask=mask, models=(background, foreground)) if mask.any() else cut), mask


def _trimap(previous: Mask, *, taken: Mask, reach: int) -> NDArray[np.uint8]:
    """Sure and probable object and background (GrabCutClasses) around the edge of a mask (h, w)."""
    mask, band = previous.astype(np.uint8), disk(reach)
    trimap = np.full(previous.shape, cv2.GC_BGD, dtype=np.uint8)
    trimap[cv2.dilate(mask, band) > 0] = cv2.GC_PR_BGD
    trimap[previous] = cv2.GC_PR_FGD
    trimap[cv2.erode(mask, band) > 0] = cv2.GC_FGD
    trimap[taken] = cv2.GC_BGD
    return trimap


def _is_object(trimap: NDArray[np.uint8]) -> Mask:
    return np.asarray((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD))


def _reach(mask: Mask) -> int:
    return boundary_radius(mask.shape, tolerance=BAND)


def _window(mask: Mask) -> tuple[slice, slice]:
    """The object's box with its surroundings; colours farther away say nothing about its edge."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    margin = _SURROUNDINGS * _reach(mask)
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
