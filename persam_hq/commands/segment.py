"""`persam-hq segment`: masks of what points and boxes mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.commands.options import add_model_options, model_of, output_folder
from persam_hq.commands.prompt_options import ObjectPrompt, parse_box, parse_point, prompts_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from persam_hq.predictor import SamPredictor

_PROMPTS_HELP = (
    'file with a list of objects, [{"points": [[X, Y, LABEL], ...], "box": [X0, Y0, X1, Y1]}, ...], for every image, '
    'or with one list an image, {"photo.jpg": [...], ...}'
)


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """Objects of one image: label map (H, W) uint8, id = position from 1 on, and the predicted IoU of each."""

    labels: NDArray[np.uint8]
    scores: tuple[float, ...]

    def __repr__(self) -> str:
        return f"Segmented({self.labels.shape}, objects={len(self.scores)})"


def add_segment(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command and its options."""
    parser = commands.add_parser("segment", help="masks in images from points and boxes")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG or PNG files")
    parser.add_argument(
        "--point",
        action="append",
        type=parse_point,
        metavar="X,Y[,LABEL]",
        help="pixel on the object, or beside it with LABEL 0; repeatable",
    )
    parser.add_argument("--box", type=parse_box, metavar="X0,Y0,X1,Y1", help="pixels; the box around the object")
    parser.add_argument("--prompts", type=Path, metavar="JSON", help=_PROMPTS_HELP)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets <IMAGE's stem>.png, pixel value = object, and <stem>_overlay.jpg",
    )
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from persam_hq.image_files import read_image, write_labels, write_overlay
    from persam_hq.predictor import SamPredictor

    prompts = prompts_of(options)
    out = output_folder(options.out, options.images)
    predictor = SamPredictor(model_of(options))
    for path in options.images:
        image = read_image(path)
        height, width, _ = image.shape
        for prompt in prompts[path.name]:
            prompt.refuse_outside(width=width, height=height, image=path)
        predictor.set_image(image)
        result = segment_objects(predictor, prompts[path.name])
        write_labels(out / f"{path.stem}.png", result.labels)
        write_overlay(out / f"{path.stem}_overlay.jpg", image, result.labels)
        for index, score in enumerate(result.scores, start=1):
            print(f"{path.name}: object {index}: {(result.labels == index).sum()} pixels, predicted IoU {score:.2f}")


def segment_objects(predictor: SamPredictor, prompts: Sequence[ObjectPrompt]) -> Segmented:
    """The objects of the current image; a pixel that several claim goes to the one that is surest of it."""
    import numpy as np

    answers = [_ask(predictor, prompt) for prompt in prompts]
    logits = np.stack([logits for logits, _ in answers])
    labels = np.where(logits.max(axis=0) > 0, logits.argmax(axis=0) + 1, 0).astype(np.uint8)
    return Segmented(labels=labels, scores=tuple(score for _, score in answers))


def _ask(predictor: SamPredictor, prompt: ObjectPrompt) -> tuple[NDArray[np.float32], float]:
    """Logits (H, W) and predicted IoU of one object: the single mask for a box, the best of three for points alone."""
    masks, scores, _ = predictor.predict(
        point_coords=[point[:2] for point in prompt.points] or None,
        point_labels=[point[2] for point in prompt.points] or None,
        box=prompt.box,
        multimask_output=prompt.box is None,
        return_logits=True,
    )
    best = int(scores.argmax())
    return masks[best].astype("float32"), float(scores[best])
