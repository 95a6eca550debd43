"""`persam-hq personalize`: an object of one photo found in others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.commands.options import add_model_options, model_of, output_folder

if TYPE_CHECKING:
    from persam_hq.finder import Found


def add_personalize(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command and its options."""
    parser = commands.add_parser("personalize", help="find an object, shown by an image and its mask, in other images")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG or PNG files to search")
    parser.add_argument("--image", type=Path, required=True, metavar="REF", help="image that shows the object")
    parser.add_argument("--mask", type=Path, required=True, metavar="REFMASK", help="its mask: pixels that are not 0")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets <IMAGE's stem>.png, empty where the object is not found, and <stem>_overlay.jpg",
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    import numpy as np

    from persam_hq.finder import build_finder
    from persam_hq.image_files import read_image, read_mask, write_labels, write_overlay

    reference, mask = read_image(options.image), read_mask(options.mask)
    out = output_folder(options.out, options.images)
    finder = build_finder(model_of(options), reference, mask)
    for path in options.images:
        image = read_image(path)
        found = finder.find(image)
        labels = found.mask.astype(np.uint8)
        write_labels(out / f"{path.stem}.png", labels)
        write_overlay(out / f"{path.stem}_overlay.jpg", image, labels)
        print(f"{path.name}: {describe(found)}")


def describe(found: Found) -> str:
    """One line on what was found."""
    what = f"{found.mask.sum()} pixels" if found.is_present else "not found, the mask is empty"
    sure = f"presence {found.presence:.2f}, similarity {found.similarity:.2f}, predicted IoU {found.predicted_iou:.2f}"
    return f"{what} ({sure})"
