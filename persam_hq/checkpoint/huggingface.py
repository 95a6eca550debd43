"""Key names of Hugging Face's SamModel and SamHQModel, translated to those of the published checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from persam_hq.errors import CheckpointError

# Of keys that the published layout does not have, so one of them tells the layout.
_PREFIXES = ("vision_encoder.", "shared_image_embedding.")
_POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

# Modules that are a Sequential in the published code, and have named layers in Hugging Face's.
_SEQUENCES = {
    "vision_encoder.neck": ("image_encoder.neck", ("conv1", "layer_norm1", "conv2", "layer_norm2")),
    "prompt_encoder.mask_embed": (
        "prompt_encoder.mask_downscaling",
        ("conv1", "layer_norm1", None, "conv2", "layer_norm2", None, "conv3"),
    ),
    "mask_decoder.upscale": ("mask_decoder.output_upscaling", ("conv1", "layer_norm", None, "conv2")),
    "mask_decoder.compress_vit": ("mask_decoder.compress_vit_feat", ("conv1", "norm", None, "conv2")),
    "mask_decoder.encoder": ("mask_decoder.embedding_encoder", ("conv1", "norm", None, "conv2")),
    "mask_decoder.mask": ("mask_decoder.embedding_maskfeature", ("conv1", "norm", None, "conv2")),
}
"""Their layers by name to the place in the published sequence; None is an activation, which has no weights.

Those of the decoder are joined to the first part by an underscore instead of a dot.
"""
_RENAMED = {
    "shared_image_embedding.positional_embedding": _POSITIONS,
    "prompt_encoder.shared_embedding.positional_embedding": _POSITIONS,
    "prompt_encoder.point_embed.": "prompt_encoder.point_embeddings.",
    "vision_encoder.patch_embed.projection.": "image_encoder.patch_embed.proj.",
    "vision_encoder.layers.": "image_encoder.blocks.",
    "vision_encoder.pos_embed": "image_encoder.pos_embed",
    "mask_decoder.hq_token.": "mask_decoder.hf_token.",
} | {
    f"{theirs}{'_' if theirs.startswith('mask_decoder') else '.'}{layer}.": f"{ours}.{index}."
    for theirs, (ours, layers) in _SEQUENCES.items()
    for index, layer in enumerate(layers)
    if layer is not None
}
# Perceptrons have their first and last layer under names of their own, and the middle one in a list.
_HEAD = re.compile(
    r"mask_decoder\.(iou_prediction_head|hq_mask_mlp|output_hypernetworks_mlps\.\d+)\.(proj_in|layers\.0|proj_out)\."
)
_HEAD_LAYERS = {"proj_in": 0, "layers.0": 1, "proj_out": 2}
_NORM = re.compile(r"\.layer_norm(\d|_final_attn)\.")


def is_hugging_face(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of SamModel or SamHQModel."""
    return any(key.startswith(_PREFIXES) for key in tensors)


def from_hugging_face(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The same tensors under their published names; a key of no known place keeps its own.

    The matrix of the positional encoding is in some files twice, for encoder and prompts; CheckpointError if the two
    differ, since the published models have one.
    """
    # Keys stay in their order; a name that comes twice has to mean the same values
    renamed: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = published_name(key)
        if name in renamed and (renamed[name].dtype != value.dtype or not renamed[name].equal(value)):
            raise CheckpointError(f"{path} holds {name} twice, and they differ; save the model again")
        renamed[name] = value
    return renamed


def published_name(key: str) -> str:
    """The published name of the tensor `key` of a SamModel or SamHQModel."""
    # The perceptrons first: their layers' numbers differ
    if head := _HEAD.match(key):
        part = "hf_mlp" if head[1] == "hq_mask_mlp" else head[1]
        return f"mask_decoder.{part}.layers.{_HEAD_LAYERS[head[2]]}.{key[head.end() :]}"
    # Then modules that are renamed as a whole
    theirs = next((theirs for theirs in _RENAMED if key.startswith(theirs)), None)
    if theirs is not None:
        key = _RENAMED[theirs] + key.removeprefix(theirs)
    # What is left are the norms of blocks and of the two-way transformer
    return _NORM.sub(lambda norm: f".norm{norm[1]}.", key)
