"""Searches of `persam-hq personalize`: which object in which images, from options or from a folder of objects."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from persam_hq.cli.options import images_of
from persam_hq.errors import InputError


@dataclass(frozen=True, slots=True)
class ObjectSearch:
    """One object with its reference image and mask, the images to search, and their annotations where there are any.

    folder: prefix of the names of its results. value: the value of the object's pixels in the mask; None: all but 0.
    """

    name: str
    image: Path
    mask: Path
    searched: tuple[Path, ...]
    annotations: tuple[Path | None, ...]
    folder: str = ""
    value: int | None = None


def object_searches(options: argparse.Namespace) -> list[ObjectSearch]:
    """The searches that the options ask for, one per object."""
    if (options.image is None) != (options.mask is None):
        raise InputError("--image and --mask go together: an image that shows the object, and its mask")

    # One reference, with one object or with several
    if options.image is not None:
        images = tuple(images_of(options.images))
        unknown = (None,) * len(images)
        if not options.objects:
            return [ObjectSearch("1", options.image, options.mask, images, unknown)]
        values = _object_values(options.mask)
        return [ObjectSearch(str(value), options.image, options.mask, images, unknown, value=value) for value in values]

    # A folder with a reference per object
    if options.objects:
        raise InputError("--objects says what REFMASK holds; give --image REF --mask REFMASK")
    if len(options.images) > 1 or not options.images[0].is_dir():
        raise InputError("nothing shows the object; give --image REF --mask REFMASK, or a folder with Images/<object>")
    return _of_folder(options.images[0])


def _refuse_other_size(image: Path, mask: Path) -> None:
    """InputError for a mask of another size than its image's, by their headers, before memory is taken for pixels."""
    from persam_hq.io.images import image_size

    (height, width), (h, w) = image_size(image), image_size(mask)
    if (h, w) != (height, width):
        raise InputError(f"the reference mask {mask} is {w}x{h}, its image {width}x{height}; give one of that size")


def _object_values(mask: Path) -> list[int]:
    """The values of the objects in a mask; InputError where it has none, or looks like a lossy image."""
    import numpy as np

    from persam_hq.io.images import read_ids
    from persam_hq.io.soft_masks import looks_soft

    ids = read_ids(mask)
    values, ranks = np.unique(ids, return_inverse=True)
    objects = [int(value) for value in values if value]
    if not objects:
        raise InputError(f"the reference mask {mask} is empty, so it shows no object; mark the objects' pixels in it")
    if looks_soft(ranks.reshape(ids.shape), objects, has_background=len(values) > len(objects)):
        what = f"{len(objects)} values, looks like a lossy or anti-aliased mask"
        raise InputError(f"{mask}: {what}; save it as PNG with one value an object, and without smoothing")
    return objects


def _of_folder(root: Path) -> list[ObjectSearch]:
    """One search per object of a folder; the first annotated photo shows it, and the others are searched."""
    from persam_hq.evaluation.protocols.perseg import object_folders

    searches = []
    for name, photos, masks in object_folders(root):
        if not photos or not masks:
            raise InputError(f"object {name} in {root} has no photo or no annotation; give one of each")

        # Photos and annotations belong together by stem
        by_stem = {path.stem: path for path in masks}
        shown = [photo for photo in photos if photo.stem in by_stem]
        if not shown or len(photos) < 2:
            raise InputError(f"object {name} in {root}: expected an annotated photo and others to search")

        # Other annotations are scored against
        others = tuple(photo for photo in photos if photo != shown[0])
        known = tuple(by_stem.get(photo.stem) for photo in others)
        searches.append(ObjectSearch(name, shown[0], by_stem[shown[0].stem], others, known, folder=f"{name}/"))
    return searches


def check_searched_images(searches: Sequence[ObjectSearch]) -> None:
    """InputError for images that cannot be read and annotations of another size, before anything is written."""
    from persam_hq.io.images import image_size, read_image, read_mask

    for search in searches:
        _refuse_other_size(search.image, search.mask)
        for path, known in zip(search.searched, search.annotations, strict=True):
            height, width, _ = read_image(path).shape
            if known is None:
                continue
            if image_size(known) != (height, width):
                raise InputError(f"{known} is not of its photo's size, {width}x{height}; replace the annotation")
            read_mask(known)
