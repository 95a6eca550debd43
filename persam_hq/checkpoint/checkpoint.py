"""Checkpoint: the tensors of a weights file under their published names, and their way into a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from persam_hq.checkpoint.assign import place
from persam_hq.checkpoint.files import read_file
from persam_hq.checkpoint.layouts import (
    HQ_PREFIXES,
    PARTS,
    Layout,
    encoder_of,
    image_size_of,
    in_published_layout,
)
from persam_hq.checkpoint.position_embeddings import fit_positions
from persam_hq.checkpoint.soundness import misfits, refuse_bad_values
from persam_hq.checkpoint.unwrap import unwrap
from persam_hq.errors import CheckpointError, MisfitError

# Named in the error that a model with HQ parts gives for a file without them.
_HQ_FILES = {name: f"sam_hq_{name}.pth" for name in ("vit_b", "vit_l", "vit_h", "vit_tiny")}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Checkpoint:
    """The tensors of a weights file under their published names: those of SAM (PerSAM, MobileSAM) or of SAM-HQ.

    encoder: the registered name of the image encoder that the file holds or goes with, None if it is of none of them.
    layout: how the file itself names them; around: the keys and prefixes that were around them in it.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    encoder: str | None
    has_hq: bool
    layout: Layout = Layout.PUBLISHED
    around: tuple[str, ...] = ()

    # Millions of values are no repr
    def __repr__(self) -> str:
        return f"Checkpoint({self.path.name}: {self.encoder}, hq={self.has_hq}, {len(self.tensors)} tensors)"

    @property
    def image_size(self) -> int | None:
        """The side in pixels that its position embeddings are for; None where it has none, as TinyViT."""
        return image_size_of(self.tensors)

    @property
    def lacks(self) -> tuple[str, ...]:
        """The parts of a whole model of which it has nothing."""
        return tuple(part.rstrip(".") for part in PARTS if not any(key.startswith(part) for key in self.tensors))

    def over(self, base: Checkpoint) -> Checkpoint:
        """This file's tensors, and those of `base` for what it leaves out: a decoder in the model it was made for."""
        if None not in (self.encoder, base.encoder) and self.encoder != base.encoder:
            raise CheckpointError(f"{self.path} goes with {self.encoder}, but {base.path} holds {base.encoder}")
        # Decoders alone have no encoder to be recognised by, so None fits any
        tensors = {**base.tensors, **self.tensors}
        return replace(self, tensors=tensors, encoder=self.encoder or base.encoder, has_hq=self.has_hq or base.has_hq)

    def load_into(
        self, model: nn.Module, *, name: str, fresh_hq: bool = False, device: str | torch.device | None = None
    ) -> None:
        """Give the weights to `model`, built as `name`; keys or shapes that do not fit are an error that names them.

        Position embeddings are resized where the model is for images of another size. The HQ parts of the file are
        left out, and only they, where the model was built without any. With `fresh_hq` those of the model keep the
        values they were built with where the file has none: training begins so. `device`: see `place`.
        """
        # The right model, with or without HQ parts
        expected = model.state_dict()
        wants_hq = any(key.startswith(HQ_PREFIXES) for key in expected)
        self._check(name, hq=wants_hq and not fresh_hq)
        tensors = {k: v for k, v in self.tensors.items() if wants_hq or not k.startswith(HQ_PREFIXES)}
        # Training on SAM's weights begins with HQ parts as they were initialised
        if fresh_hq and not self.has_hq:
            tensors |= {k: v for k, v in expected.items() if k.startswith(HQ_PREFIXES)}

        # The right shapes, then into the model
        tensors = fit_positions(tensors, expected)
        self._verify(tensors, expected)
        place(tensors, model, device=device)

    def _check(self, name: str, *, hq: bool) -> None:
        """Raise CheckpointError where the file is of another model, or of a part of one."""
        # Each message names what would help
        if self.encoder is not None and self.encoder != name:
            raise CheckpointError(f"{self.path} holds {self.encoder}, not {name}; ask for {self.encoder!r} instead")
        if self.lacks:
            raise CheckpointError(
                f"{self.path} lacks all of {' and '.join(self.lacks)}; take them from a whole checkpoint of {name}: "
                "give that one as `base`, or as start_from of a training and this file as its decoder_from"
            )
        if hq and not self.has_hq:
            source = _HQ_FILES.get(name, "weights of SAM-HQ")
            raise CheckpointError(
                f"{self.path} holds SAM without HQ parts (mask_decoder.hf_token and others are missing): "
                f"load {source}, or run it in SAM mode with hq=False"
            )

    def _verify(self, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
        """Raise MisfitError, which names keys, unless names, shapes and values are those of such a model."""
        found = misfits(tensors, expected)
        # The usual reason for a state of our own training
        if found and "ema" in self.around:
            found.append("a training state holds no more than what learns: load the ema.safetensors beside it")
        if found:
            raise MisfitError(f"{self.path} does not fit the model; {'; '.join(found)}")
        refuse_bad_values(tensors, self.path)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The state dict in a .pth, .pt or .safetensors file, under its own names, and the wrappers around it."""
    path = Path(path)
    return unwrap(read_file(path), path)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a .pth, .pt or .safetensors file; nothing in it is executed, and it is mapped where that is possible."""
    path = Path(path)
    # Out of the wrappers, then to the published names, by which everything else is told
    stored, around = read_tensors(path)
    tensors, layout = in_published_layout(stored, path)
    return Checkpoint(
        path=path,
        tensors=tensors,
        encoder=encoder_of(tensors),
        has_hq=any(key.startswith(HQ_PREFIXES) for key in tensors),
        layout=layout,
        around=around,
    )
