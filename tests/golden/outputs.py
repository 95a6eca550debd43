"""Everything that the golden files hold, computed by this package, under the same keys."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from golden.fill_weights import fill_state_dict
from golden.fixtures import fixture_image, fixture_mask

from persam_hq import SamPredictor, sam_model_registry
from persam_hq.personalization import bottom_points, cascade, foreground_cells, guide, locate, mask_box, top_points
from persam_hq.predictor import bind, encode, personalize
from persam_hq.transforms import LongestSide, mask_image, points_to_input, resize_image
from persam_hq.types import PromptSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from persam_hq.modeling.sam import Sam
    from persam_hq.types import ImageFeatures

Arrays = dict[str, "NDArray[Any]"]
MODELS = ("vit_tiny", "vit_b")
RESIZED = ((600, 1333), (480, 854), (854, 480), (1200, 700))

_POINTS = {"point_coords": np.array([[410, 350], [900, 80]]), "point_labels": np.array([1, 0])}
_BOX = {"box": np.array([240, 170, 600, 560])}
_HQ_CASES: dict[str, dict[str, Any]] = {
    "points_single": {**_POINTS, "multimask_output": False},
    "points_single_hqonly": {**_POINTS, "multimask_output": False, "hq_token_only": True},
    "points_multi": {**_POINTS, "multimask_output": True},
    "box_single": {**_BOX, "multimask_output": False},
    "box_points_multi_hqonly": {**_POINTS, **_BOX, "multimask_output": True, "hq_token_only": True},
}


def golden(name: str) -> Mapping[str, NDArray[Any]]:
    """What the published implementations compute."""
    with np.load(Path(__file__).parent / f"{name}.npz") as file:
        return dict(file)


def outputs(name: str) -> Arrays:
    """What this package computes, for a model's file or for `resize`."""
    return resize_outputs() if name == "resize" else model_outputs(name)


def filled(name: str, *, hq: bool) -> Sam:
    """A model with the weights that its keys stand for."""
    model = sam_model_registry[name](hq=hq)
    fill_state_dict(model)
    return model


@cache
def encoded(name: str) -> tuple[ImageFeatures, ImageFeatures]:
    """Reference and test image as the filled encoder sees them: it takes long, so once for everyone who asks."""
    model = filled(name, hq=True)
    reference, test = (encode(model, fixture_image(seed=seed)) for seed in (0, 1))
    return reference, test


def model_outputs(name: str) -> Arrays:
    """Encoder, SAM-HQ's predictor, PerSAM, and PerSAM on SAM-HQ's decoder."""
    hq, plain = filled(name, hq=True), filled(name, hq=False)
    reference, test = encoded(name)
    return encoder_outputs(test) | decoder_outputs(hq, reference, test) | decoder_outputs(plain, reference, test)


def decoder_outputs(model: Sam, reference: ImageFeatures, test: ImageFeatures) -> Arrays:
    """What the decoder gives on encoded images: PerSAM's steps, and SAM-HQ's predictor where it has HQ parts."""
    reference, test = _as_seen_by(model, reference), _as_seen_by(model, test)
    group = "persam_hq" if model.has_hq else "persam"
    steps = {f"{group}/{key}": value for key, value in _persam_outputs(model, reference, test).items()}
    return steps | (_hq_outputs(model, test) if model.has_hq else {})


def resize_outputs() -> Arrays:
    """The longest-side resize of four sizes."""
    found: Arrays = {}
    for height, width in RESIZED:
        geometry = LongestSide(1024)((height, width))
        image = resize_image(fixture_image(height, width, seed=1), geometry.input)
        corners = torch.tensor([[10, 20], [width - 1, height - 1]], dtype=torch.float64)
        found[f"{height}x{width}/shape"] = np.array(image.shape)
        found[f"{height}x{width}/image"] = image[::8, ::8]
        found[f"{height}x{width}/coords"] = points_to_input(corners, geometry).numpy()
    return found


def _as_seen_by(model: Sam, features: ImageFeatures) -> ImageFeatures:
    """The same image with the HQ features of `model`, if it makes any: one encoder serves all decoders."""
    hq_features = None
    if model.has_hq:
        with torch.inference_mode():
            hq_features = model.mask_decoder.fuse_hq_features(
                image_embeddings=features.image_embedding, interm_embeddings=features.interm_embeddings
            )
    return replace(features, hq_features=hq_features)


def encoder_outputs(features: ImageFeatures) -> Arrays:
    embedding = features.image_embedding
    return {
        "encoder/image_embeddings": embedding[0, ::16, ::8, ::8].numpy(),
        "encoder/image_embeddings_norm": embedding.norm().reshape(1).numpy(),
        "encoder/interm_embeddings_0": features.interm_embeddings[0][0, ::8, ::8, ::8].numpy(),
        "encoder/interm_count": np.array(len(features.interm_embeddings)),
    }


def _hq_outputs(model: Sam, features: ImageFeatures) -> Arrays:
    predictor = SamPredictor(model)
    predictor._features = features  # the encoder ran once for all groups
    found: Arrays = {}
    low_res = np.empty(0)
    for case, prompts in _HQ_CASES.items():
        masks, scores, low_res = predictor.predict(**prompts)
        found[f"sam_hq/{case}/scores"] = scores
        found[f"sam_hq/{case}/logits"] = low_res[:, ::4, ::4]
        found[f"sam_hq/{case}/mask_fraction"] = masks.mean(axis=(1, 2))
    _, scores, low_res = predictor.predict(**_POINTS, mask_input=low_res, multimask_output=False)
    found["sam_hq/points_mask_single/scores"] = scores
    found["sam_hq/points_mask_single/logits"] = low_res[:, ::4, ::4]
    return found


def _persam_outputs(model: Sam, reference: ImageFeatures, test: ImageFeatures) -> Arrays:
    mask = fixture_mask(seed=0)
    target = personalize(model, reference, mask)
    prior = locate(test, target)
    prompts = PromptSet.from_points(positive=top_points(prior.similarity), negative=bottom_points(prior.similarity))
    guidance = guide(prior, target, alignment="published")
    steps = cascade(bind(model, test), prompts, guidance=guidance)
    prepared, geometry = model.prepare(mask_image(mask))
    cells = foreground_cells(torch.from_numpy(mask), prepared=prepared, geometry=geometry, grid=(64, 64))
    box = mask_box(steps[1].masks[steps[1].best])
    final = steps[2].masks[steps[2].best]
    assert guidance.attn_sim is not None
    assert box is not None

    found: Arrays = {
        "target_embedding": target.embedding[0, 0].numpy(),
        "target_cells": np.array(target.cells),
        "ref_mask_grid": cells.numpy(),
        "cosine_grid": prior.grid.numpy(),
        "points": prompts.points.numpy(),
        "labels": prompts.labels.numpy(),
        "attn_sim": guidance.attn_sim.reshape(64, 64).numpy(),
        "step2_box": box.numpy(),
        "final_index": np.array(steps[2].best),
        "final_mask_packed": np.packbits(final[::4, ::4].numpy()),
        "final_mask_fraction": final.double().mean().numpy(),
    }
    for index, step in enumerate(steps):
        found[f"step{index}_scores"] = step.scores.numpy()
        found[f"step{index}_logits"] = step.low_res_logits[:, ::4, ::4].numpy()
    return found
