"""The projection of lite's matching keys, fitted to photos: principal components of the encoder's features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.build.lite import FITTED_KEYS, build_lite, load_lite, save_lite
from persam_hq.errors import InputError
from persam_hq.modeling.lite.model import Lite
from persam_hq.training.data.datasets import Array, read_image

FIRST_TEMPERATURE, PREVIOUS_TEMPERATURE, PROMPT_TEMPERATURE = 75.0, 45.0, 10.0
"""Temperatures of the read-outs of the first frame, of the previous one, and of a prompt in the image itself.

A prompt is rough, so its read-out is softer. Measured: the first two were chosen on five of the seven training clips
and on a clip that no training has seen, the third on image prompts in the seven clips."""


def fit_keys(weights: Path, folders: Sequence[Path], out: Path, *, count: int) -> None:
    """Write `weights` of lite with matching keys fitted to `count` photos of each folder, evenly spaced by name.

    Raises InputError or CheckpointError; `out` is written whole or not at all.
    """
    if count < 1:
        raise InputError(f"got {count} photos a folder; expected at least 1")
    # The photos, and the model as older weights leave it
    paths = [path for folder in folders for path in _evenly(folder, count)]
    model = build_lite().eval()
    load_lite(model, weights, but=FITTED_KEYS)
    fit_matching(model, map(read_image, paths))
    save_lite(model.state_dict(), out, step=0)


def fit_matching(model: Lite, images: Iterable[Array]) -> None:
    """Fit the key projection to `images` (H, W, 3) uint8 RGB, and set the temperatures that fitted keys go with."""
    fit_key_projection(model, images)
    prior = model.location_prior
    prior.log_temperature_first.data.fill_(math.log(FIRST_TEMPERATURE))
    prior.log_temperature_previous.data.fill_(math.log(PREVIOUS_TEMPERATURE))
    prior.log_temperature_prompt.data.fill_(math.log(PROMPT_TEMPERATURE))


def _evenly(folder: Path, count: int) -> list[Path]:
    """`count` photos of a folder, or all if there are fewer, evenly spaced by name."""
    paths = sorted(folder.rglob("*.jpg"))
    if not paths:
        raise InputError(f"no photos in {folder}: expected *.jpg in it or below")
    return paths[:: max(1, len(paths) // count)][:count]


@torch.no_grad()
def fit_key_projection(model: Lite, images: Iterable[Array]) -> None:
    """Set the model's key projection to the main directions of its parts over `images` (H, W, 3) uint8 RGB.

    The parts, each of unit length, stand beside each other; the projection onto the first principal components, not
    centred, keeps their inner products best (Eckart and Young 1936). Nothing is learnt from masks.
    """
    projection = model.image_encoder.key_projection
    # The second moment of the parts over all cells, each photo weighing the same
    caught: list[tuple[Tensor, ...]] = []
    handle = projection.register_forward_pre_hook(lambda module, given: caught.append(module.parts(*given)))
    moments = torch.zeros((), device=model.device)
    for image in images:
        pixels, _ = model.prepare(image)
        model.encode(pixels, with_hq=False)
        cells = _beside_each_other(caught.pop())
        moments = moments + cells.T @ cells / len(cells)
    handle.remove()

    # The leading components, shared out to the convolutions of the parts
    _, vectors = torch.linalg.eigh(moments)
    convolutions = (projection.from_learned, projection.from4, projection.from16, projection.from32)
    kept = vectors[:, -projection.from4.out_channels :].T.flip(0)
    # A component's sign is not determined: the largest of its weights is positive
    sign = torch.sign(kept.gather(1, kept.abs().argmax(dim=1, keepdim=True)))
    for convolution, weight in zip(
        convolutions, torch.split(sign * kept, [c.in_channels for c in convolutions], dim=1), strict=True
    ):
        convolution.weight.copy_(weight[..., None, None])


def _beside_each_other(parts: tuple[Tensor, ...]) -> Tensor:
    """The parts of one image at stride 8, one row per cell: (N, C)."""
    size = parts[0].shape[-2:]
    maps = [F.interpolate(part, size=size, mode="bilinear", align_corners=False) for part in parts]
    return torch.cat(maps, dim=1)[0].flatten(1).T
