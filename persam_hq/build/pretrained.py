"""Models with weights by name, in evaluation mode: what the predictors and commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from persam_hq.build.lite import build_lite, embedded_weights, load_lite
from persam_hq.build.sam import build_model, sam_model_registry
from persam_hq.errors import CheckpointError, UnknownModelError
from persam_hq.hub import cached_path
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.sam import Sam

__all__ = ["ImageModel", "load_model"]

ImageModel: TypeAlias = Sam | Lite
"""Either model: whole images (Segment Anything) or windows (lite)."""


def load_model(name: str, *, checkpoint: str | Path | None = None, device: str = "cpu") -> ImageModel:
    """`lite` with the weights in the package or those of `checkpoint`, or a published model from its file.

    `checkpoint` is a path, or the name of a file that `persam-hq checkpoints download` put into the cache. For
    SamPredictor and PerSamPredictor. Raises UnknownModelError or CheckpointError.
    """
    # Only lite's weights are in the package
    if name == "lite":
        lite = build_lite()
        load_lite(lite, embedded_weights() if checkpoint is None else Path(checkpoint))
        return lite.eval().to(device)

    # Published models come from a file, which may be a cached download
    if name not in sam_model_registry:
        raise UnknownModelError(f"unknown model {name!r}; known: lite, {', '.join(sam_model_registry)}")
    if checkpoint is None:
        raise CheckpointError(
            f"model {name!r} needs a checkpoint: only lite comes with weights; get published ones "
            "with `persam-hq checkpoints download`"
        )
    return build_model(name, checkpoint=cached_path(checkpoint), device=device)
