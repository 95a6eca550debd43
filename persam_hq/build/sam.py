"""Models of Segment Anything by name: sizes, builders and the registry.

With `persam_hq.build.lite` the only place where sizes of models are written down; modules are handed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import torch

from persam_hq.checkpoint import Checkpoint, read_checkpoint
from persam_hq.errors import InputError, UnknownModelError
from persam_hq.modeling.image_encoder import ImageEncoderViT
from persam_hq.modeling.mask_decoder import MaskDecoder, SamUpscaling, sam_hq_modules
from persam_hq.modeling.prompt_encoder import PromptEncoder
from persam_hq.modeling.sam import Sam
from persam_hq.modeling.tiny_vit import StageSpec, TinyViT
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.transforms import LongestSide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

__all__ = ["ModelBuilder", "build_model", "sam_model_registry"]

# Shared by all published models. Mean and deviation are those of ImageNet's pixels, RGB in 0 to 255.
IMAGE_SIZE = 1024
PATCH_SIZE = 16
EMBED_DIM = 256
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


class ModelBuilder(Protocol):
    """An entry of the registry: builds one model, from a checkpoint or without weights."""

    def __call__(
        self,
        checkpoint: str | Path | None = None,
        *,
        hq: bool | None = None,
        image_size: int | None = None,
        base: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> Sam:
        """A model in evaluation mode, with the weights of `checkpoint` or none that mean anything.

        `hq` says whether the HQ parts are built; None builds them if the checkpoint holds them. `image_size` is the
        side in pixels of the square that images are put into, a multiple of 16; None is what the checkpoint's
        position embeddings are for, or 1024. `base` is a whole checkpoint, for what `checkpoint` leaves out if that
        is a part of a model, such as a mask decoder. `device` is where it goes, by default the CPU.

        Weights that fit in dtype and device are the file's own memory, mapped: they come into memory as they are
        used, and the file must not be written to meanwhile. Raises CheckpointError or InputError.
        """
        ...


@dataclass(frozen=True, slots=True)
class ViTSpec:
    """The sizes of a plain vision transformer."""

    embed_dim: int
    depth: int
    num_heads: int
    global_attn_indexes: tuple[int, ...]

    @property
    def interm_dim(self) -> int:
        """Width of the interm embeddings."""
        return self.embed_dim

    def build(self, image_size: int) -> nn.Module:
        """The image encoder for squares of `image_size` pixels."""
        return ImageEncoderViT(
            img_size=image_size,
            patch_size=PATCH_SIZE,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            out_chans=EMBED_DIM,
            window_size=14,  # of all published sizes; 64 cells a side are padded to 70
            global_attn_indexes=self.global_attn_indexes,
        )


@dataclass(frozen=True, slots=True)
class TinyViTSpec:
    """The sizes of a TinyViT."""

    stages: tuple[StageSpec, ...]

    @property
    def interm_dim(self) -> int:
        """Width of the interm embedding: what the second stage hands to the third."""
        return self.stages[2].dim  # the merging layer that ends the second stage has the third's width

    def build(self, image_size: int) -> nn.Module:
        """The image encoder for squares of `image_size` pixels."""
        # The head for ImageNet's classes is never called, but published files hold it
        return TinyViT(img_size=image_size, stages=self.stages, out_chans=EMBED_DIM, num_classes=1000)


@dataclass(frozen=True, slots=True)
class SamBuilder:
    """Builds Segment Anything, with HQ parts or without, around the encoder of a spec."""

    name: str
    encoder: ViTSpec | TinyViTSpec

    def __call__(
        self,
        checkpoint: str | Path | None = None,
        *,
        hq: bool | None = None,
        image_size: int | None = None,
        base: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> Sam:
        """See ModelBuilder."""
        # Without a checkpoint: weights as torch initialises them
        if checkpoint is None:
            if base is not None:
                raise InputError(f"got a base, {base}, and no checkpoint to put over it; give it as the checkpoint")
            model = self._assemble(hq=bool(hq), image_size=IMAGE_SIZE if image_size is None else image_size).eval()
            return model if device is None else model.to(device)
        return self._load(_read(checkpoint, base), hq=hq, image_size=image_size, device=device)

    def _load(
        self, weights: Checkpoint, *, hq: bool | None, image_size: int | None, device: str | torch.device | None
    ) -> Sam:
        """A model filled from a checkpoint, built on the meta device: without memory for weights that are replaced."""
        with torch.device("meta"):
            model = self._assemble(
                hq=weights.has_hq if hq is None else hq,
                image_size=(weights.image_size or IMAGE_SIZE) if image_size is None else image_size,
            )
        weights.load_into(model, name=self.name, device=device)
        return model.eval()

    def _assemble(self, *, hq: bool, image_size: int) -> Sam:
        """Encoder, prompt encoder and mask decoder at the published sizes, for squares of `image_size` pixels."""
        # The decoder's grid is that of the encoder's patches
        if image_size % PATCH_SIZE or image_size < PATCH_SIZE:
            raise InputError(f"got an image size of {image_size}; expected a multiple of {PATCH_SIZE}, such as 1024")
        grid = image_size // PATCH_SIZE

        return Sam(
            image_encoder=self.encoder.build(image_size),
            prompt_encoder=PromptEncoder(
                embed_dim=EMBED_DIM,
                image_embedding_size=(grid, grid),
                input_image_size=(image_size, image_size),
                mask_in_chans=16,
            ),
            mask_decoder=MaskDecoder(
                transformer=TwoWayTransformer(depth=2, embedding_dim=EMBED_DIM, num_heads=8, mlp_dim=2048),
                transformer_dim=EMBED_DIM,
                output_upscaling=SamUpscaling(EMBED_DIM),
                hq=sam_hq_modules(transformer_dim=EMBED_DIM, vit_dim=self.encoder.interm_dim) if hq else None,
            ),
            input_frame=LongestSide(image_size),
            pixel_mean=PIXEL_MEAN,
            pixel_std=PIXEL_STD,
        )


# The global blocks are the last of each quarter. SAM, appendix A; TinyViT-5M as MobileSAM publishes it.
_VIT_B = ViTSpec(embed_dim=768, depth=12, num_heads=12, global_attn_indexes=(2, 5, 8, 11))
_VIT_L = ViTSpec(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23))
_VIT_H = ViTSpec(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31))
_VIT_TINY = TinyViTSpec(
    stages=(
        StageSpec(dim=64, depth=2, num_heads=None, window_size=None, downsample_stride=2),
        StageSpec(dim=128, depth=2, num_heads=4, window_size=7, downsample_stride=2),
        StageSpec(dim=160, depth=6, num_heads=5, window_size=14, downsample_stride=1),
        StageSpec(dim=320, depth=2, num_heads=10, window_size=7, downsample_stride=None),
    )
)

_BUILDERS: dict[str, ModelBuilder] = {
    "vit_b": SamBuilder("vit_b", _VIT_B),
    "vit_l": SamBuilder("vit_l", _VIT_L),
    "vit_h": SamBuilder("vit_h", _VIT_H),
    "vit_tiny": SamBuilder("vit_tiny", _VIT_TINY),
}
_ALIASES = {"default": "vit_h", "vit_t": "vit_tiny"}  # the names that the published registries add

sam_model_registry: Mapping[str, ModelBuilder] = MappingProxyType(
    _BUILDERS | {alias: _BUILDERS[name] for alias, name in _ALIASES.items()}
)


def build_model(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    hq: bool | None = None,
    image_size: int | None = None,
    base: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Sam:
    """The model registered under `name`, see ModelBuilder; an unknown name is an error that lists the known ones."""
    # The message lists all names, so that a slip is seen at once
    if name not in sam_model_registry:
        raise UnknownModelError(f"there is no model {name!r}; known are {', '.join(sam_model_registry)}")
    return sam_model_registry[name](checkpoint, hq=hq, image_size=image_size, base=base, device=device)


def _read(checkpoint: str | Path, base: str | Path | None) -> Checkpoint:
    """The checkpoint, and `base` for what it leaves out."""
    weights = read_checkpoint(checkpoint)
    return weights if base is None else weights.over(read_checkpoint(base))
