"""`persam-hq personalize`: find an object, shown by one photo and its mask, in other photos."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.cli import result_folder as results
from persam_hq.cli.object_search import ObjectSearch, check_searched_images, object_searches
from persam_hq.cli.options import Once, add_hq_option, add_model_options, model_of, use_hq
from persam_hq.errors import InputError

if TYPE_CHECKING:
    from persam_hq.checkpoint.scale_weights import ObjectWeights
    from persam_hq.evaluation.metrics.overlap import MaskPair
    from persam_hq.finder import Finder, Found, ScaleFit
    from persam_hq.predictor import ImageModel

COLUMNS = ("image", "object", "pixels", "presence", "similarity", "predicted_iou", *results.BOX, "iou")


def add_personalize(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("personalize", help="find an object, shown by an image and its mask, in other images")

    # Photos to search, and what shows the object
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="JPEG or PNG files to search, or folders of these; without --image one folder with Images/<object> and "
        "Annotations/<object>, or <object>/images and <object>/annotations: the first annotated photo shows the object",
    )
    parser.add_argument("--image", action=Once, type=Path, metavar="REF", help="image that shows the object")
    parser.add_argument("--mask", action=Once, type=Path, metavar="REFMASK", help="its mask: pixels that are not 0")
    parser.add_argument(
        "--objects",
        action="store_true",
        help="REFMASK holds several objects, its palette indices or grey values; each keeps its value in the results",
    )

    # PerSAM-F, results, and the model
    parser.add_argument(
        "--finetune", action="store_true", help="weigh the three masks as fits the reference best (PerSAM-F)"
    )
    parser.add_argument(
        "--solver",
        choices=("optimal", "published", "published_video"),
        default="optimal",
        help="of --finetune: the minimum (default), or the published 1000 steps, or 800 as in its video script",
    )
    parser.add_argument(
        "--save-weights", action=Once, type=Path, metavar="FILE", help="JSON of --finetune's weights, by object"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=results.HELP)
    add_hq_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Search all images, write masks, overlays and scores, and print what was found."""
    # Whatever can be wrong is refused before anything is written
    if options.save_weights is not None and not options.finetune:
        raise InputError("--save-weights writes what --finetune finds; give both")
    _check_place(options.save_weights)
    searches = object_searches(options)
    check_searched_images(searches)

    # One finder per object
    model = model_of(options)
    with_hq = use_hq(options, model)
    finders = [_finder(search, model, options, with_hq=with_hq) for search in searches]

    read = [(s.image, s.mask, *s.searched, *filter(None, s.annotations)) for s in searches]
    out = results.ResultFolder(
        options.out,
        columns=COLUMNS,
        names=[f"{search.folder}{path.stem}" for search in searches for path in search.searched],
        inputs=[path for paths in read for path in paths],
    )

    # With --objects all objects of an image share one label map
    pairs: list[list[MaskPair]] = []
    if options.objects:
        _search_together(searches, [finder for finder, _ in finders], out)
    else:
        pairs = [_search(search, finder, out) for search, (finder, _) in zip(searches, finders, strict=True)]

    if options.save_weights is not None:
        from persam_hq.checkpoint.scale_weights import write_mask_weights

        write_mask_weights(options.save_weights, _fitted(searches, [fit for _, fit in finders]))
    out.finish()
    if pairs:
        _print_scores(searches, pairs)


def _check_place(path: Path | None) -> None:
    """Raise InputError where no file can be put at `path`, hours before it would be."""
    if path is None:
        return
    above = next(folder for folder in (*path.absolute().parents,) if folder.exists())
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"cannot write the mask weights {path}: no file can be made there; choose another file")


def _finder(
    search: ObjectSearch, model: ImageModel, options: argparse.Namespace, *, with_hq: bool
) -> tuple[Finder, ScaleFit | None]:
    """The finder of one object, and with --finetune the mask weights fitted to it."""
    from persam_hq.finder import build_finder, build_tuned_finder
    from persam_hq.io.images import read_ids, read_image, read_mask

    image, mask = read_image(search.image), read_mask(search.mask)
    if search.value is not None:
        mask = read_ids(search.mask) == search.value
    if not options.finetune:
        return build_finder(model, image, mask, use_hq=with_hq), None
    tuned = build_tuned_finder(model, image, mask, solver=options.solver, use_hq=with_hq)
    shown = ", ".join(f"{weight:.3f}" for weight in tuned.fit.weights)
    print(f"object {search.name}: mask weights {shown}, loss {tuned.fit.loss:.4f} ({tuned.fit.solver})")
    return tuned, tuned.fit


def _search(search: ObjectSearch, finder: Finder, out: results.ResultFolder) -> list[MaskPair]:
    """Search all images for one object; returns annotation and found mask of the annotated ones."""
    import numpy as np

    from persam_hq.evaluation.metrics.region import region_similarity
    from persam_hq.io.images import read_image, read_mask

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


def _search_together(searches: Sequence[ObjectSearch], finders: Sequence[Finder], out: results.ResultFolder) -> None:
    """Search all images for several objects, and write one label map per image."""
    import numpy as np

    from persam_hq.io.images import read_image

    for path in searches[0].searched:
        image = read_image(path)
        found = [finder.find(image) for finder in finders]
        labels = np.zeros(image.shape[:2], np.uint8)
        # A pixel that several objects claim goes to the one that is most surely there: it is written last
        for index in sorted(range(len(found)), key=lambda i: found[i].presence * found[i].predicted_iou):
            labels[found[index].mask] = searches[index].value or 0

        # What is left of each object is what is reported
        shown = [replace(one, mask=labels == search.value) for one, search in zip(found, searches, strict=True)]
        named = [(search.name, one) for one, search in zip(shown, searches, strict=True)]
        out.add(path.stem, image, labels, [_row(path.name, name, one, "") for name, one in named])
        for name, one in named:
            print(f"{path.name}: object {name}: {describe(one)}")


def _row(image: str, name: str, found: Found, iou: str) -> dict[str, object]:
    """The row of scores of one object in one image."""
    return {
        "image": image,
        "object": name,
        "pixels": int(found.mask.sum()),
        "presence": f"{found.presence:.4f}",
        "similarity": f"{found.similarity:.4f}",
        "predicted_iou": f"{found.predicted_iou:.4f}",
        "iou": iou,
    } | results.box_of(found.mask)


def _fitted(searches: Sequence[ObjectSearch], fits: Sequence[ScaleFit | None]) -> dict[str, ObjectWeights]:
    """The fitted mask weights by object, with hashes of the reference that they were fitted to."""
    from persam_hq.checkpoint.scale_weights import ObjectWeights, reference_hashes

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


def _print_scores(searches: Sequence[ObjectSearch], pairs: Sequence[Sequence[MaskPair]]) -> None:
    """Print mean IoU and Boundary IoU of the annotated objects, as `evaluate perseg` does."""
    from persam_hq.evaluation.metrics.overlap import OverlapRow, mean_boundary_iou, pooled_iou
    from persam_hq.evaluation.tables import render_overlaps

    rows = [
        OverlapRow(name=search.name, images=len(known), scores=(pooled_iou(known), mean_boundary_iou(known)))
        for search, known in zip(searches, pairs, strict=True)
        if known
    ]
    if rows:
        print(render_overlaps(rows, first="object", columns=("mIoU", "bIoU")), end="")


def describe(found: Found) -> str:
    """What was found in one image, as one line."""
    what = f"{found.mask.sum()} pixels" if found.is_present else "not found, the mask is empty"
    sure = f"presence {found.presence:.2f}, similarity {found.similarity:.2f}, predicted IoU {found.predicted_iou:.2f}"
    return f"{what} ({sure})"
