"""Builders and registries under their published names; the models take the calls of published code part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch

from persam_hq.build import sam as build
from persam_hq.compat.modeling import Sam, as_published

__all__ = [
    "PublishedBuilder",
    "persam_registry",
    "sam_hq_model_registry",
    "sam_model_registry",
    "sam_model_registry_baseline",
]


@dataclass(frozen=True, slots=True)
class PublishedBuilder:
    """A builder of the registry as scripts call it: `build(checkpoint="...pth")`.

    hq: whether HQ parts are built where the call says nothing; None: where the checkpoint holds them. interm: whether
    direct calls of the image encoder give interm embeddings too; "hq": where there are HQ parts, as each package does.
    """

    name: str
    hq: bool | None = None
    interm: bool | Literal["hq"] = "hq"

    def __call__(
        self,
        checkpoint: str | Path | None = None,
        *,
        hq: bool | None = None,
        image_size: int | None = None,
        base: str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> Sam:
        """See `persam_hq.build.sam.ModelBuilder`."""
        model = build.sam_model_registry[self.name](
            checkpoint, hq=self.hq if hq is None else hq, image_size=image_size, base=base, device=device
        )
        return as_published(model, returns_interm=model.has_hq if self.interm == "hq" else self.interm)


def _registry(
    names: Mapping[str, str], *, hq: bool | None, interm: bool | Literal["hq"]
) -> Mapping[str, PublishedBuilder]:
    return MappingProxyType({name: PublishedBuilder(model, hq=hq, interm=interm) for name, model in names.items()})


# "vit_t" is MobileSAM's name, "vit_tiny" SAM-HQ's
_SAM = {"default": "vit_h", "vit_h": "vit_h", "vit_l": "vit_l", "vit_b": "vit_b"}
_ALL = _SAM | {"vit_t": "vit_tiny", "vit_tiny": "vit_tiny"}

sam_model_registry = _registry(_ALL, hq=None, interm="hq")
"""Of `segment_anything` and `segment_anything_hq`: what the checkpoint holds."""
sam_hq_model_registry = _registry(_ALL, hq=True, interm=True)
"""SAM-HQ's models, whatever the checkpoint; without one as well."""
sam_model_registry_baseline = _registry(_ALL, hq=False, interm=True)
"""SAM's models as SAM-HQ's code builds them: without HQ parts, and an image encoder that gives interm embeddings."""
persam_registry = _registry(_ALL, hq=None, interm=False)
"""Of `per_segment_anything`."""
