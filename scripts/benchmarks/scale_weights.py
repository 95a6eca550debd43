"""The benchmark of `scripts/benchmarks/run.py scale-weights`: three ways to fit PerSAM-F's weights, timed.

The decoder is run again at every step, as in the published script, or once, with one of two solvers on its output.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from persam_hq.build.pretrained import load_model
from persam_hq.evaluation.protocols.perseg import read_perseg
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.sam import Sam
from persam_hq.personalization import Schedule, fit_scale_weights, locate, scale_loss, top_points, weigh_masks
from persam_hq.predictor import ImageModel, decode_scales, encode, personalize
from persam_hq.segmenter import LiteSegmenter
from persam_hq.types import PromptSet

LEARNING_RATE = 1e-3  # of the published script, as are epsilon and the schedule below

Scales = Callable[[], Tensor]
"""Runs the decoder: the three masks of the reference as logits (3, H, W)."""


def scales_of(model: ImageModel, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Scales:
    """The decoder on a reference; the image is encoded here, once."""
    return _of_lite(model, image, mask) if isinstance(model, Lite) else _of_sam(model, image, mask)


def _of_lite(model: Lite, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Scales:
    segmenter = LiteSegmenter(model)
    features = segmenter.encode(image)
    reference = segmenter.personalize(features, torch.from_numpy(mask)[None])
    located = segmenter.locate(reference, features, None)
    return lambda: segmenter.decode_scales(located)[0]


def _of_sam(model: Sam, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Scales:
    features = encode(model, image)
    target = personalize(model, features, mask, pooling="mean_and_max")
    prompts = PromptSet.from_points(positive=top_points(locate(features, target).similarity))
    return lambda: decode_scales(model, features, prompts)


def rerunning(scales: Scales, mask: Tensor, *, steps: int) -> Tensor:
    """Weights (3,) as the published script fits them: the decoder once per step, the loss through autograd."""
    # Two free weights; the first scale has the rest
    free = torch.full((2, 1), 1 / 3, requires_grad=True)
    optimizer = torch.optim.AdamW([free], lr=LEARNING_RATE, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    truth = mask.float().flatten()
    for _ in range(steps):
        logits = scales().clone().flatten(1)
        merged = (logits * torch.cat([1 - free.sum(dim=0, keepdim=True), free])).sum(dim=0)
        loss = dice_loss(merged, truth) + focal_loss(merged, truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    second, third = free.detach()[:, 0]
    return torch.stack([1 - second - third, second, third])


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """The dice loss of logits (M,) and truth (M,) of 0 and 1."""
    p = logits.sigmoid()
    return 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """The focal loss of logits (M,) and truth (M,) of 0 and 1, with PerSAM's alpha 0.25 and gamma 2."""
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = p * truth + (1 - p) * (1 - truth)
    return ((0.25 * truth + 0.75 * (1 - truth)) * entropy * (1 - right) ** 2).mean()


def references(root: Path, *, photos: int) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.bool_]]]:
    """Name, photo (H, W, 3) and mask (H, W) of the first photos below ROOT."""
    pairs = [(item, index) for item in read_perseg(root) for index in range(len(item))]
    for item, index in pairs[:photos]:
        yield item.photo_paths[index].stem, *item.read(index)


def run(root: Path, *, photos: int, model: str, checkpoint: Path | None, steps: int) -> None:
    """Print per photo the time, weights and loss of the three ways, and the overlap of their masks."""
    torch.set_num_threads(1)
    loaded = load_model(model, checkpoint=checkpoint)
    schedule = Schedule(steps=steps, learning_rate=LEARNING_RATE)
    for name, image, annotation in references(root, photos=photos):
        scales, mask = scales_of(loaded, image, annotation), torch.from_numpy(annotation)
        print(f"{name} {image.shape[1]}x{image.shape[0]}, {model}, {steps} steps", flush=True)
        ways: dict[str, Callable[[], Tensor]] = {
            "rerun": lambda scales=scales, mask=mask: rerunning(scales, mask, steps=steps),
            "published": lambda scales=scales, mask=mask: fit_scale_weights(
                scales(), mask, solver="published", schedule=schedule
            ),
            "optimal": lambda scales=scales, mask=mask: fit_scale_weights(scales(), mask),
        }
        print_ways(ways, scales().clone(), mask)


def print_ways(ways: dict[str, Callable[[], Tensor]], logits: Tensor, mask: Tensor) -> None:
    """Fit and print one line per way; the others are compared with `rerun`."""
    weights: dict[str, Tensor] = {}
    seconds: dict[str, float] = {}
    for way, fit in ways.items():
        start = time.perf_counter()
        weights[way] = fit()
        seconds[way] = time.perf_counter() - start
        shown = ", ".join(f"{weight:.4f}" for weight in weights[way].tolist())
        away = float((weights[way] - weights["rerun"]).abs().max())
        loss = scale_loss(logits, mask, weights[way])
        faster = seconds["rerun"] / seconds[way]
        print(
            f"  {way:9} {seconds[way]:8.2f} s ({faster:6.1f} times)  weights {shown} ({away:.5f} off)  loss {loss:.6f}",
            flush=True,
        )

    # The masks of both solvers' weights
    published, optimal = (weigh_masks(logits, weights[way])[0] > 0 for way in ("published", "optimal"))
    overlap = float((published & optimal).sum() / (published | optimal).sum().clamp(min=1))
    fits = [float((found & mask).sum() / (found | mask).sum()) for found in (published, optimal)]
    print(f"  IoU of their masks {overlap:.4f}; with the reference's: published {fits[0]:.4f}, optimal {fits[1]:.4f}")
