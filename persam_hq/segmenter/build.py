"""The segmenter of a model by its name, with its weights loaded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import torch

from persam_hq.build.lite import Detail, build_lite, embedded_weights, load_lite
from persam_hq.build.sam import sam_model_registry
from persam_hq.errors import CheckpointError, UnknownModelError
from persam_hq.options import TrackerPart
from persam_hq.segmenter.base import AnySegmenter
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.segmenter import LiteSegmenter
from persam_hq.segmenter.sam import SamSegmenter

__all__ = ["Detail", "ModelName", "build_segmenter", "embedded_weights", "load_lite"]

ModelName = Literal["lite", "vit_tiny", "vit_b", "vit_l", "vit_h"]


def build_segmenter(
    model: ModelName,
    *,
    checkpoint: Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    published: bool = False,
    without: Collection[TrackerPart] = (),
    use_hq: bool = True,
    keep_interm: bool = False,
    detail: Detail = "normal",
) -> AnySegmenter:
    """The model `model` with the weights of `checkpoint` (lite: the embedded ones by default), on `device`.

    `dtype` is that of the image encoder. `published` reproduces PerSAM's scripts: target features half mean and half
    maximum, misaligned guidance, and on lite whole frames without the dense location prior. `without` names parts of
    lite's tracker to leave out. Without `use_hq` the masks are those of SAM's mask tokens alone. `keep_interm` keeps
    the interm embeddings of a SAM model; those of lite are part of what its decoder looks at, and stay. `detail` is
    how finely lite sees; it means nothing to a SAM model. Raises UnknownModelError or CheckpointError.
    """
    # lite comes with weights, and with a tracker of its own
    if model == "lite":
        path = checkpoint or embedded_weights()
        lite = build_lite(detail=detail)
        load_lite(lite, path)
        config = LiteConfig.published() if published else LiteConfig()
        return LiteSegmenter(lite.to(device), config=config.without(*without), dtype=dtype, use_hq=use_hq)

    # The models of Segment Anything, with published weights
    if model not in sam_model_registry:
        raise UnknownModelError(f"unknown model {model!r}; known: lite, {', '.join(sam_model_registry)}")
    if checkpoint is None:
        message = f"model {model!r} needs --checkpoint: only `lite` comes with weights; load published {model} weights"
        raise CheckpointError(message)
    sam = sam_model_registry[model](checkpoint=checkpoint, device=device)
    if published:
        return SamSegmenter(sam, alignment="published", pooling="mean_and_max", use_hq=use_hq, keep_interm=keep_interm)
    return SamSegmenter(sam, use_hq=use_hq, keep_interm=keep_interm)
