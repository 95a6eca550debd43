"""A baseline from colour alone: GrabCut (Rother et al. 2004), started on each frame from the previous mask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation.label_maps import Frame, LabelMap
from persam_hq.evaluation.metrics.boundary import boundary_radius, disk
from persam_hq.evaluation.metrics.region import Mask

BAND = 0.02
"""How far an edge may move from frame to frame, as a share of the image diagonal. Chosen."""

_SURROUNDINGS = 3
"""Width of the background that is looked at around an object, in widths of the band. Chosen."""
_ITERATIONS = 2
"""Iterations of GrabCut per frame; colour models change little from frame to frame. Chosen."""
_MIN_SAMPLES = 5
"""Pixels that a colour model needs, one for each of its five Gaussians."""
_MODEL_VALUES = 65
"""Numbers in a colour model of OpenCV: five Gaussians with weight, mean (3) and covariance (9)."""
_ANY_RECT = (0, 0, 1, 1)
"""Stands in the place of a rectangle that OpenCV does not read where a mask is given."""


def grabcut_propagation(frames: Iterable[Frame], first_mask: LabelMap) -> Iterator[LabelMap]:
    """Label maps of all frames, each object cut out along its edge by colour.

    The inside of the last mask, beyond a band along its edge, stays object and the outside stays background; colour
    models decide in between. They are learned on the first frame and carried from frame to frame. Objects are cut one
    by one in order of id; what one has is background to the next.
    """
    objects: dict[int, _TrackedObject] | None = None
    for frame in frames:
        # The first frame: colours are learned
        if objects is None:
            ids = np.unique(first_mask[first_mask > 0]).tolist()
            objects = {i: _begin(frame, first_mask == i) for i in ids}
            yield first_mask.copy()
            continue

        # Later frames: object by object
        labels = np.zeros_like(first_mask)
        for object_id, tracked in objects.items():
            objects[object_id], mask = _track(tracked, frame, taken=labels > 0)
            labels[mask] = object_id
        yield labels


@dataclass(frozen=True, slots=True, eq=False)
class _TrackedObject:
    """The last mask (H, W) bool of an object that was not empty, and OpenCV's models of the colours in it and around.

    models: None where there are too few pixels to learn from.
    """

    mask: Mask
    models: tuple[NDArray[np.float64], NDArray[np.float64]] | None


def _begin(frame: Frame, mask: Mask) -> _TrackedObject:
    """Learn the colours of an object and of its surroundings."""
    window = _window(mask)
    inside = mask[window]
    if min(np.count_nonzero(inside), np.count_nonzero(~inside)) < _MIN_SAMPLES:
        return _TrackedObject(mask=mask, models=None)
    background, foreground = np.zeros((1, _MODEL_VALUES)), np.zeros((1, _MODEL_VALUES))
    trimap = np.where(inside, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    cv2.setRNGSeed(0)  # the components are found by k-means from random centres
    pixels = np.ascontiguousarray(frame[window])
    cv2.grabCut(pixels, trimap, _ANY_RECT, background, foreground, 1, cv2.GC_INIT_WITH_MASK)
    return _TrackedObject(mask=mask, models=(background, foreground))


def _track(tracked: _TrackedObject, frame: Frame, *, taken: Mask) -> tuple[_TrackedObject, Mask]:
    """The object on the next frame; one that was lost is searched for where it was last.

    `taken` (H, W) bool: pixels of other objects. Returns the object to go on with, and its mask on this frame.
    """
    if tracked.models is None:
        return tracked, tracked.mask & ~taken

    # What the last mask leaves undecided
    window = _window(tracked.mask)
    trimap = _trimap(tracked.mask[window], taken=taken[window], reach=_reach(tracked.mask))
    mask = np.zeros_like(tracked.mask)
    if not _is_object(trimap).any():
        return tracked, mask

    # OpenCV writes into what it is given
    background, foreground = (model.copy() for model in tracked.models)
    pixels = np.ascontiguousarray(frame[window])
    cv2.grabCut(pixels, trimap, _ANY_RECT, background, foreground, _ITERATIONS, cv2.GC_EVAL)
    mask[window] = _is_object(trimap)
    return (replace(tracked, mask=mask, models=(background, foreground)) if mask.any() else tracked), mask


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
    """Pixels that are surely or probably the object's."""
    return np.asarray((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD))


def _reach(mask: Mask) -> int:
    """Width of the undecided band in pixels."""
    return boundary_radius(mask.shape, tolerance=BAND)


def _window(mask: Mask) -> tuple[slice, slice]:
    """The object's box with its surroundings; colours farther away say nothing about its edge."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    margin = _SURROUNDINGS * _reach(mask)
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
