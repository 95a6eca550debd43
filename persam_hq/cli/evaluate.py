"""`persam-hq evaluate prompts | perseg | hq`: masks from prompts or a reference photo, scored against annotations."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.cli.options import add_hq_option, add_model_options, model_of, use_hq
from persam_hq.errors import InputError

if TYPE_CHECKING:
    from persam_hq.evaluation.label_maps import Frame
    from persam_hq.evaluation.metrics.region import Mask
    from persam_hq.evaluation.protocols.perseg import Find, Personalize
    from persam_hq.predictor import ImageModel


def add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands below `evaluate`."""
    evaluate = commands.add_parser("evaluate", help="score masks against annotations")
    evaluate.set_defaults(group=evaluate)
    below = evaluate.add_subparsers(metavar="COMMAND")

    # Boxes and points on the frames of clips
    prompts = below.add_parser("prompts", help="masks from a box or a point on the frames of annotated clips")
    prompts.add_argument("root", type=Path, metavar="ROOT", help="folder in the layout of DAVIS")
    prompts.add_argument("--sequences", metavar="A,B", help="names of the clips (default: all)")
    prompts.add_argument("--every", type=int, default=10, metavar="N", help="take every N-th frame (default: 10)")
    add_model_options(prompts)
    prompts.set_defaults(run=_prompts)

    # An object across photos (PerSeg)
    perseg = below.add_parser("perseg", help="an object of one photo found in its other photos")
    perseg.add_argument(
        "root",
        type=Path,
        metavar="ROOT",
        help="Images/<object> and Annotations/<object>, or <object>/images and <object>/annotations",
    )
    perseg.add_argument(
        "--every-reference", action="store_true", help="each photo shows the object once, not only the first"
    )
    add_model_options(perseg)
    perseg.set_defaults(run=_perseg)

    # Boxes on finely annotated photos (HQSeg-44K)
    hq = below.add_parser("hq", help="masks from the boxes of fine annotations (HQ-SAM)")
    hq.add_argument(
        "root",
        type=Path,
        metavar="ROOT",
        help="folder with DIS5K and thin_object_detection as HQSeg-44K has them, or one set: im and gt, or images and "
        "masks",
    )
    hq.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th photo (default: 1)")
    hq.add_argument("--published", action="store_true", help="stretch photos to a square, as HQ-SAM's own script does")
    add_hq_option(hq)
    add_model_options(hq)
    hq.set_defaults(run=_hq)


def _prompts(options: argparse.Namespace) -> None:
    """Score masks from a box or a point on frames of DAVIS clips."""
    from persam_hq.evaluation.protocols.davis_dataset import DavisDataset
    from persam_hq.evaluation.protocols.image_prompts import COLUMNS, evaluate_prompts
    from persam_hq.evaluation.tables import render_overlaps
    from persam_hq.predictor import SamPredictor

    names = options.sequences.split(",") if options.sequences else None
    sequences = DavisDataset(options.root).select(names)
    predictor = SamPredictor(model_of(options))
    rows = evaluate_prompts(predictor, sequences, every=options.every, report=_report)
    print(render_overlaps(rows, first="sequence", columns=COLUMNS), end="")


def _perseg(options: argparse.Namespace) -> None:
    """Score personalization on PerSeg."""
    from persam_hq.evaluation.protocols.perseg import COLUMNS, evaluate_perseg, read_perseg
    from persam_hq.evaluation.tables import render_overlaps

    objects = read_perseg(options.root)
    personalize = _personalizer(model_of(options))
    rows = list(evaluate_perseg(personalize, objects, every_reference=options.every_reference))
    print(render_overlaps(rows, first="object", columns=COLUMNS), end="")


def _hq(options: argparse.Namespace) -> None:
    """Score masks from boxes on HQ-SAM's sets."""
    from persam_hq.evaluation.protocols.hq44k import COLUMNS, evaluate_hq, read_hq, segment_by_box
    from persam_hq.evaluation.tables import render_overlaps

    if options.every < 1:
        raise InputError(f"--every is {options.every}; give 1 for every photo, 2 for every second one, and so on")
    sets = read_hq(options.root, every=options.every)
    model = model_of(options)
    segment = segment_by_box(model, with_hq=use_hq(options, model), published=options.published)
    print(render_overlaps(list(evaluate_hq(segment, sets)), first="set", columns=COLUMNS), end="")


def _personalizer(model: ImageModel) -> Personalize:
    """The model as the protocol of PerSeg wants it: a finder per reference photo."""
    from persam_hq.finder import build_finder

    def personalize(photo: Frame, mask: Mask) -> Find:
        finder = build_finder(model, photo, mask)
        return lambda other: finder.find(other).mask

    return personalize


def _report(line: str) -> None:
    """Progress goes to standard error; standard output has the table alone."""
    print(line, file=sys.stderr, flush=True)
