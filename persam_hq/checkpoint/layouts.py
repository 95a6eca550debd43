"""Layouts of state dicts: the model and its encoder recognised by keys and shapes, keys renamed to published ones."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from torch import Tensor

from persam_hq.checkpoint.huggingface import from_hugging_face, is_hugging_face
from persam_hq.checkpoint.soundness import listed
from persam_hq.errors import CheckpointError

HQ_PARTS = ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
HQ_PREFIXES = tuple(f"mask_decoder.{part}." for part in HQ_PARTS)
PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
PATCH_SIZE = 16
"""Pixels per cell of position embeddings, in all published sizes."""

# Keys that tell one model from the others.
_LITE_PART = "location_prior."
_DECODER_PARTS = tuple(
    f"{part}."
    for part in (
        "transformer",
        "iou_token",
        "mask_tokens",
        "output_upscaling",
        "output_hypernetworks_mlps",
        "iou_prediction_head",
        *HQ_PARTS,
    )
)
_SAM2_PARTS = ("memory_attention.", "memory_encoder.", "sam_mask_decoder.", "sam_prompt_encoder.")
# Widths of the encoders, which also show in a decoder's first HQ layer.
_VIT_BY_WIDTH = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_ENCODER_BY_INTERM_WIDTH = _VIT_BY_WIDTH | {160: "vit_tiny"}


class Layout(StrEnum):
    """The naming of a file's tensors; values are shown by `persam-hq checkpoints inspect`."""

    PUBLISHED = "segment_anything"
    DECODER = "mask decoder alone"
    HUGGING_FACE = "transformers"


def in_published_layout(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], Layout]:
    """The tensors under the names of the published checkpoints, and how they were named before.

    Raises CheckpointError where a key belongs to no part of these models.
    """
    # Recognised by keys: Hugging Face's names, a decoder alone, or the published ones
    named, layout = dict(tensors), Layout.PUBLISHED
    if is_hugging_face(tensors):
        named, layout = from_hugging_face(tensors, path), Layout.HUGGING_FACE
    elif tensors and all(key.startswith(_DECODER_PARTS) for key in tensors):
        named, layout = {f"mask_decoder.{key}": value for key, value in tensors.items()}, Layout.DECODER

    # A key of none of the parts means another model
    strangers = [key for key in named if not key.startswith((*PARTS, _LITE_PART))]
    if any(key.startswith(_SAM2_PARTS) for key in strangers):
        raise CheckpointError(f"{path} is of SAM 2, another model; load weights of SAM, SAM-HQ or MobileSAM")
    if strangers or not named:
        raise CheckpointError(
            f"{path} is not in the layout of SAM, SAM-HQ or MobileSAM (keys under {', '.join(PARTS)}); "
            f"it has {listed(strangers) or 'no tensors'}"
        )
    return named, layout


def encoder_of(tensors: Mapping[str, Tensor]) -> str | None:
    """The registered name of the image encoder, by published names; a decoder with HQ parts shows it as well."""
    # TinyViT has no absolute positions, and a decoder no encoder: each is told by what it has
    if any(key.startswith(_LITE_PART) for key in tensors):
        return "lite"
    if "image_encoder.patch_embed.seq.0.c.weight" in tensors:
        return "vit_tiny"
    position = tensors.get("image_encoder.pos_embed")
    if position is not None:
        return _VIT_BY_WIDTH.get(position.shape[-1]) if position.ndim else None
    interm = tensors.get("mask_decoder.compress_vit_feat.0.weight")
    return None if interm is None or not interm.ndim else _ENCODER_BY_INTERM_WIDTH.get(interm.shape[0])


def image_size_of(tensors: Mapping[str, Tensor]) -> int | None:
    """The side in pixels that absolute position embeddings (1, grid, grid, C) are for; None where there are none."""
    position = tensors.get("image_encoder.pos_embed")
    return None if position is None or position.ndim != 4 else position.shape[1] * PATCH_SIZE
