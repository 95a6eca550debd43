"""`persam-hq segment`: masks in images from points, boxes and rough masks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persam_hq.cli import result_folder as results
from persam_hq.cli.options import Once, add_hq_option, add_model_options, images_of, model_of, use_hq
from persam_hq.cli.prompts import ObjectPrompt, parse_box, parse_point, prompts_of
from persam_hq.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from persam_hq.predictor import ImageModel
    from persam_hq.types import ImageFeatures, MaskPrediction, PromptSet

COLUMNS = ("image", "object", "pixels", "predicted_iou", *results.BOX)
_PROMPTS_HELP = (
    'file with a list of objects, [{"points": [[X, Y, LABEL], ...], "box": [X0, Y0, X1, Y1], "mask": FILE}, ...], for '
    'every image, or with one list an image, {"photo.jpg": [...], ...}; "clicked_points" and other names are known too'
)


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """The objects of one image: label map (H, W) uint8, ids from 1 in the order of the prompts, and predicted IoUs."""

    labels: NDArray[np.uint8]
    scores: tuple[float, ...]

    def __repr__(self) -> str:
        return f"Segmented({self.labels.shape}, objects={len(self.scores)})"


def add_segment(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser("segment", help="masks in images from points, boxes and rough masks")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG or PNG files, or folders of these")

    # Prompts of all images alike, or from a file of each image's own
    parser.add_argument(
        "--point",
        action="append",
        type=parse_point,
        metavar="X,Y[,LABEL]",
        help="pixel on the object, or beside it with LABEL 0; repeatable",
    )
    parser.add_argument(
        "--box", action=Once, type=parse_box, metavar="X0,Y0,X1,Y1", help="pixels; the box around the object"
    )
    parser.add_argument(
        "--mask-prompt", action=Once, type=Path, metavar="FILE", help="rough mask of the object: pixels that are not 0"
    )
    parser.add_argument("--prompts", action=Once, type=Path, metavar="JSON", help=_PROMPTS_HELP)

    # The choice of masks, results, and the model
    parser.add_argument(
        "--mask-weights",
        action=Once,
        type=Path,
        metavar="FILE",
        help="weigh the three masks of every object as `personalize --save-weights` found best (PerSAM-F)",
    )
    parser.add_argument("--hq-token-only", action="store_true", help="the HQ mask alone, not its sum with SAM's")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=results.HELP)
    add_hq_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    """Segment all images, write masks, overlays and scores, and print the scores."""
    from persam_hq.io.images import read_image
    from persam_hq.predictor import decode, encode

    # Whatever can be wrong is refused before anything is written
    options.images = images_of(options.images)
    prompts = prompts_of(options)
    weights = _weights_by_position(options.mask_weights, max(len(objects) for objects in prompts.values()))
    for path in options.images:
        _check_prompts_fit(path, prompts[path.name])
    model = model_of(options)
    with_hq = use_hq(options, model)
    if options.hq_token_only and not with_hq:
        raise InputError("--hq-token-only asks for the HQ mask, which is off or not in these weights; use HQ weights")

    out = results.ResultFolder(
        options.out,
        columns=COLUMNS,
        names=[path.stem for path in options.images],
        inputs=[*options.images, *(prompt.mask for each in prompts.values() for prompt in each if prompt.mask)],
    )
    for path in options.images:
        image = read_image(path)
        features = encode(model, image, with_hq=with_hq)

        def ask(prompt: ObjectPrompt, index: int, features: ImageFeatures = features) -> MaskPrediction:
            # A box or a mask means one thing; points may mean a part or the whole, so the best of three masks is taken
            return decode(
                model,
                features,
                _prompt_set(prompt, model, features),
                multimask_output=prompt.box is None and prompt.mask is None,
                hq_token_only=options.hq_token_only,
                mask_weights=None if weights is None else torch_weights(weights[index]),
            )

        found = segment_objects(ask, prompts[path.name])
        rows = [_row(path, found, index) for index in range(1, len(found.scores) + 1)]
        out.add(path.stem, image, found.labels, rows)
        for row in rows:
            print("{image}: object {object}: {pixels} pixels, predicted IoU {predicted_iou}".format_map(row))
    out.finish()


def segment_objects(ask: Callable[[ObjectPrompt, int], MaskPrediction], prompts: Sequence[ObjectPrompt]) -> Segmented:
    """Ask for the mask of each object and join them into a label map.

    A pixel that several objects claim goes to the one with the highest logit.
    """
    import numpy as np

    answers = [ask(prompt, index) for index, prompt in enumerate(prompts)]
    logits = np.stack([answer.logits[answer.best].float().cpu().numpy() for answer in answers])
    labels = np.where(logits.max(axis=0) > 0, logits.argmax(axis=0) + 1, 0).astype(np.uint8)
    return Segmented(labels=labels, scores=tuple(float(answer.scores[answer.best]) for answer in answers))


def torch_weights(weights: tuple[float, float, float]) -> torch.Tensor:
    """Mask weights as a tensor (3,) float32."""
    import torch

    return torch.tensor(weights)


def _weights_by_position(path: Path | None, count: int) -> list[tuple[float, float, float]] | None:
    """The mask weights of objects 1 to `count` from a file; None without one."""
    if path is None:
        return None
    from persam_hq.checkpoint.scale_weights import read_mask_weights, weights_of

    known = read_mask_weights(path)
    return [weights_of(known, str(number)) for number in range(1, count + 1)]


def _check_prompts_fit(path: Path, prompts: Sequence[ObjectPrompt]) -> None:
    """Raise InputError where an image cannot be read, or a prompt does not lie in it."""
    from persam_hq.io.images import image_size, read_image, read_mask

    height, width, _ = read_image(path).shape
    for prompt in prompts:
        prompt.refuse_outside(width=width, height=height, image=path)
        if prompt.mask is not None:
            # By the header, before memory is taken for the pixels
            if (size := image_size(prompt.mask)) != (height, width):
                h, w = size
                raise InputError(f"the mask {prompt.mask} is {w}x{h}, {path} {width}x{height}; give one of that size")
            if not read_mask(prompt.mask).any():
                raise InputError(f"the mask {prompt.mask} is empty, so it says nothing; mark the object in it")


def _prompt_set(prompt: ObjectPrompt, model: ImageModel, features: ImageFeatures) -> PromptSet:
    """The prompts of one object as the decoder takes them."""
    import torch

    from persam_hq.io.images import read_mask
    from persam_hq.predictor import mask_prompt
    from persam_hq.types import PromptSet

    mask_input = None
    if prompt.mask is not None:
        mask_input = mask_prompt(model, read_mask(prompt.mask), features.geometry)
    return PromptSet(
        points=torch.tensor([point[:2] for point in prompt.points], dtype=torch.float32).reshape(-1, 2),
        labels=torch.tensor([point[2] for point in prompt.points], dtype=torch.float32),
        box=None if prompt.box is None else torch.tensor(prompt.box),
        mask_input=mask_input,
    )


def _row(path: Path, found: Segmented, index: int) -> dict[str, object]:
    """The row of scores of object `index` in one image."""
    mask = found.labels == index
    score = f"{found.scores[index - 1]:.4f}"
    return {"image": path.name, "object": index, "pixels": int(mask.sum()), "predicted_iou": score} | results.box_of(
        mask
    )
