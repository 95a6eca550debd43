"""`persam-hq personalize`: an object of one photo found in others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.commands import results
from persam_hq.commands.options import add_hq_option, add_model_options, images_of, model_of, use_hq
from persam_hq.errors import InputError
from persam_hq.scale_weights_file import ObjectWeights, reference_hashes, write_mask_weights

if TYPE_CHECKING:
    from persam_hq.evaluation.overlap import MaskPair
    from persam_hq.finder import Finder, Found, ScaleFit
    from persam_hq.predictor import ImageModel

COLUMNS = ("image", "object", "pixels", "presence", "similarity", "predicted_iou", *results.BOX, "iou")


@dataclass(frozen=True, slots=True)
class Search:
    """An object: its reference image and mask, the images to search, and annotations of these where there are any."""

    name: str
    image: Path
    mask: Path
    searched: tuple[Path, ...]
    annotations: tuple[Path | None, ...]
    folder: str = ""


def add_personalize(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command and its options."""
    parser = commands.add_parser("personalize", help="find an object, shown by an image and its mask, in other images")
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="JPEG or PNG files to search, or folders of these; without --image one folder with Images/<object> and "
        "Annotations/<object>, or <object>/images and <object>/annotations: the first annotated photo shows the object",
    )
    parser.add_argument("--image", type=Path, metavar="REF", help="image that shows the object")
    parser.add_argument("--mask", type=Path, metavar="REFMASK", help="its mask: pixels that are not 0")
    parser.add_argument(
        "--finetune", action="store_true", help="weigh the three masks as fits the reference best (PerSAM-F)"
    )
    parser.add_argument(
        "--solver",
        choices=("optimal", "published", "published_video"),
        default="optimal",
        help="of --finetune: the minimum (default), or the published 1000 steps, or 800 as in its video script",
    )
    parser.add_argument("--save-weights", type=Path, metavar="FILE", help="JSON of --finetune's weights, by object")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=results.HELP)
    add_hq_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from persam_hq.image_files import read_image

    if options.save_weights is not None and not options.finetune:
        raise InputError("--save-weights writes what --finetune finds; give both")
    searches = _searches(options)
    for search in searches:
        for path in search.searched:
            read_image(path)  # what cannot be read is said before anything is written
    model = model_of(options)
    with_hq = use_hq(options, model)
    finders = [_finder(search, model, options, with_hq=with_hq) for search in searches]

    out = results.ResultFolder(options.out, columns=COLUMNS)
    pairs: list[list[MaskPair]] = []
    for search, (finder, _) in zip(searches, finders, strict=True):
        pairs.append(_search(search, finder, out))
    if options.save_weights is not None:
        write_mask_weights(options.save_weights, _fitted(searches, [fit for _, fit in finders]))
    out.finish()
    _print_scores(searches, pairs)


def _searches(options: argparse.Namespace) -> list[Search]:
    """What to look for, and where."""
    if (options.image is None) != (options.mask is None):
        raise InputError("--image and --mask go together: an image that shows the object, and its mask")
    if options.image is not None:
        images = images_of(options.images)
        return [Search("1", options.image, options.mask, tuple(images), (None,) * len(images))]
    if len(options.images) > 1 or not options.images[0].is_dir():
        raise InputError("nothing shows the object; give --image REF --mask REFMASK, or a folder with Images/<object>")
    return _of_folder(options.images[0])


def _of_folder(root: Path) -> list[Search]:
    """One object a folder; only the first photo needs an annotation."""
    from persam_hq.evaluation.perseg import object_folders

    searches = []
    for name, photos, masks in object_folders(root):
        if not photos or not masks:
            raise InputError(f"object {name} in {root} has no photo or no annotation; give one of each")
        by_stem = {path.stem: path for path in masks}
        shown = [photo for photo in photos if photo.stem in by_stem]
        if not shown or len(photos) < 2:
            raise InputError(f"object {name} in {root}: expected an annotated photo and others to search")
        others = tuple(photo for photo in photos if photo != shown[0])
        known = tuple(by_stem.get(photo.stem) for photo in others)
        searches.append(Search(name, shown[0], by_stem[shown[0].stem], others, known, folder=f"{name}/"))
    return searches


def _finder(
    search: Search, model: ImageModel, options: argparse.Namespace, *, with_hq: bool
) -> tuple[Finder, ScaleFit | None]:
    """Who looks for the object, and the weights fitted to it with --finetune."""
    from persam_hq.finder import build_finder, build_tuned_finder
    from persam_hq.image_files import read_image, read_mask

    image, mask = read_image(search.image), read_mask(search.mask)
    if not options.finetune:
        return build_finder(model, image, mask, use_hq=with_hq), None
    tuned = build_tuned_finder(model, image, mask, solver=options.solver, use_hq=with_hq)
    shown = ", ".join(f"{weight:.3f}" for weight in tuned.fit.weights)
    print(f"object {search.name}: mask weights {shown}, loss {tuned.fit.loss:.4f} ({tuned.fit.solver})")
    return tuned, tuned.fit


def _search(search: Search, finder: Finder, out: results.ResultFolder) -> list[MaskPair]:
    """Search all images of one object: annotation and result of those that are annotated."""
    import numpy as np

    from persam_hq.evaluation.region import region_similarity
    from persam_hq.image_files import read_image, read_mask

    pairs: list[MaskPair] = []
    for path, known in zip(search.searched, search.annotations, strict=True):
        image = read_image(path)
        found = finder.find(image)
        iou = ""
        if known is not None:
            pairs.append((read_mask(known), found.mask))
            iou = f"{region_similarity(*pairs[-1]):.4f}"
        row = _row(f"{search.folder}{path.name}", search.name, found, iou)
        out.add(f"{search.folder}{path.stem}", image, found.mask.astype(np.uint8), [row])
        print(f"{search.folder}{path.name}: {describe(found)}{iou and f', IoU {iou}'}")
    return pairs


def _row(image: str, name: str, found: Found, iou: str) -> dict[str, object]:
    return {
        "image": image,
        "object": name,
        "pixels": int(found.mask.sum()),
        "presence": f"{found.presence:.4f}",
        "similarity": f"{found.similarity:.4f}",
        "predicted_iou": f"{found.predicted_iou:.4f}",
        "iou": iou,
    } | results.box_of(found.mask)


def _fitted(searches: Sequence[Search], fits: Sequence[ScaleFit | None]) -> dict[str, ObjectWeights]:
    return {
        search.name: ObjectWeights(
            weights=fit.weights,
            loss=fit.loss,
            solver=fit.solver,
            reference=reference_hashes(search.image, search.mask),
        )
        for search, fit in zip(searches, fits, strict=True)
        if fit is not None
    }


def _print_scores(searches: Sequence[Search], pairs: Sequence[Sequence[MaskPair]]) -> None:
    """Mean IoU and Boundary IoU where there are annotations, as `evaluate perseg` prints them."""
    from persam_hq.evaluation.overlap import mean_boundary_iou, pooled_iou
    from persam_hq.evaluation.overlap_table import OverlapRow, render_overlaps

    rows = [
        OverlapRow(name=search.name, images=len(known), scores=(pooled_iou(known), mean_boundary_iou(known)))
        for search, known in zip(searches, pairs, strict=True)
        if known
    ]
    if rows:
        print(render_overlaps(rows, first="object", columns=("mIoU", "bIoU")), end="")


def describe(found: Found) -> str:
    """One line on what was found."""
    what = f"{found.mask.sum()} pixels" if found.is_present else "not found, the mask is empty"
    sure = f"presence {found.presence:.2f}, similarity {found.similarity:.2f}, predicted IoU {found.predicted_iou:.2f}"
    return f"{what} ({sure})"
