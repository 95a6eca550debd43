"""Weights files: read, recognise what they hold, and load them into a model of exactly that layout."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from persam_hq.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

__all__ = ["HQ_PREFIXES", "Checkpoint", "read_checkpoint"]

HQ_PREFIXES = tuple(
    f"mask_decoder.{part}."
    for part in ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
)
_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
_VIT_BY_WIDTH = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
_NAMED = 8  # keys that an error spells out before it only counts


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Checkpoint:
    """The tensors of a weights file in a known layout: SAM's (PerSAM and MobileSAM use it too) or SAM-HQ's.

    encoder: the registered name of the image encoder that the file holds, or None if it is of none of them.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    encoder: str | None
    has_hq: bool

    def __repr__(self) -> str:
        return f"Checkpoint({self.path.name}: {self.encoder}, hq={self.has_hq}, {len(self.tensors)} tensors)"

    def load_into(self, model: nn.Module, *, name: str, fresh_hq: bool = False) -> None:
        """Copy the weights into `model`, built as `name`; keys or shapes that do not fit are an error that names them.

        The HQ parts of the file are left out, and only they, where the model was built without any. With `fresh_hq`
        those of the model keep the values they were built with where the file has none: training begins so.
        """
        if self.encoder is not None and self.encoder != name:
            raise CheckpointError(f"{self.path} holds {self.encoder}, not {name}; ask for {self.encoder!r} instead")

        expected = model.state_dict()
        wants_hq = any(key.startswith(HQ_PREFIXES) for key in expected)
        tensors = {k: v for k, v in self.tensors.items() if wants_hq or not k.startswith(HQ_PREFIXES)}
        if fresh_hq and not self.has_hq:
            tensors |= {k: v for k, v in expected.items() if k.startswith(HQ_PREFIXES)}
        self._verify(tensors, expected)
        model.load_state_dict(tensors, strict=True)

    def _verify(self, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        shared = [key for key in expected if key in tensors]
        misfits = {
            "missing": [key for key in expected if key not in tensors],
            "not part of the model": [key for key in tensors if key not in expected],
            "of another shape": [
                f"{key} {tuple(tensors[key].shape)}, expected {tuple(expected[key].shape)}"
                for key in shared
                if tensors[key].shape != expected[key].shape
            ],
        }
        found = [f"{len(keys)} {what}: {_listed(keys)}" for what, keys in misfits.items() if keys]
        if found:
            raise CheckpointError(f"{self.path} does not fit the model; {'; '.join(found)}")


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a .pth, .pt or .safetensors file; nothing in it is executed, and it is mapped where that is possible."""
    path = Path(path)
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    strangers = [key for key in tensors if not key.startswith(_PARTS)]
    if strangers or not tensors:
        raise CheckpointError(
            f"{path} is not in the layout of SAM, SAM-HQ or MobileSAM (keys under {', '.join(_PARTS)}); "
            f"it has {_listed(strangers) or 'no tensors'}"
        )
    has_hq = any(key.startswith(HQ_PREFIXES) for key in tensors)
    return Checkpoint(path=path, tensors=tensors, encoder=_encoder_of(tensors), has_hq=has_hq)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as exc:
        raise CheckpointError(f"cannot read {path} as safetensors: {exc}") from exc


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        # Only the zip format of torch 1.6 and later can be mapped
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as exc:  # torch.load raises a dozen kinds, by what is wrong with the file
        raise CheckpointError(f"cannot read {path} as a torch weights file: {exc}") from exc
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path} holds {type(loaded).__name__}, expected a mapping of names to tensors")
    return loaded


def _encoder_of(tensors: Mapping[str, Tensor]) -> str | None:
    if "image_encoder.patch_embed.seq.0.c.weight" in tensors:
        return "vit_tiny"
    position = tensors.get("image_encoder.pos_embed")
    return None if position is None else _VIT_BY_WIDTH.get(position.shape[-1])


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more
