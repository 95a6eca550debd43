"""Catalogue of published weights: address, size, licence, and SHA-256 where one is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from persam_hq.errors import UnknownModelError

__all__ = ["PUBLISHED", "Published", "published"]

# Where the files are hosted. MobileSAM's address holds a commit, as files of a branch change.
_META = "https://dl.fbaipublicfiles.com/segment_anything/"
_HQ = "https://huggingface.co/lkeab/hq-sam/resolve/main/"
_HQ_TRAINING = "https://huggingface.co/sam-hq-team/sam-hq-training/resolve/main/pretrained_checkpoint/"
_MOBILE = "https://github.com/ChaoningZhang/MobileSAM/raw/f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/"


@dataclass(frozen=True, slots=True)
class Published:
    """One file to download.

    name: as commands take it; url, file: its address, and its name in the cache; model: the registered model that it is
    for; content: the weights it holds, in words; megabytes: its size in 10**6 bytes, rounded; sha256: as published by
    whoever hosts the file or, for Meta's and MobileSAM's, by projects that check it; None where none is known, and that
    of the first download is kept instead.
    """

    name: str
    url: str
    file: str
    model: str
    content: str
    megabytes: float
    licence: str = "Apache-2.0"
    sha256: str | None = None


_FILES = (
    # Segment Anything, by Meta.
    Published(
        name="sam_vit_b",
        url=f"{_META}sam_vit_b_01ec64.pth",
        file="sam_vit_b_01ec64.pth",
        model="vit_b",
        content="SAM",
        megabytes=375,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    Published(
        name="sam_vit_l",
        url=f"{_META}sam_vit_l_0b3195.pth",
        file="sam_vit_l_0b3195.pth",
        model="vit_l",
        content="SAM",
        megabytes=1250,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    Published(
        name="sam_vit_h",
        url=f"{_META}sam_vit_h_4b8939.pth",
        file="sam_vit_h_4b8939.pth",
        model="vit_h",
        content="SAM",
        megabytes=2565,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    # MobileSAM: a plain decoder on TinyViT.
    Published(
        name="mobile_sam",
        url=f"{_MOBILE}mobile_sam.pt",
        file="mobile_sam.pt",
        model="vit_tiny",
        content="MobileSAM",
        megabytes=40.7,
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    ),
    # SAM-HQ: whole models with HQ parts.
    Published(
        name="sam_hq_vit_tiny",
        url=f"{_HQ}sam_hq_vit_tiny.pth",
        file="sam_hq_vit_tiny.pth",
        model="vit_tiny",
        content="Light HQ-SAM",
        megabytes=42.5,
        sha256="0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196",
    ),
    Published(
        name="sam_hq_vit_b",
        url=f"{_HQ}sam_hq_vit_b.pth",
        file="sam_hq_vit_b.pth",
        model="vit_b",
        content="SAM-HQ",
        megabytes=379,
        sha256="14a9d662cd6f5a9c2dba6d40ab0058d88d287e4a18fd6fdc6ad5fb1a3fdeaa57",
    ),
    Published(
        name="sam_hq_vit_l",
        url=f"{_HQ}sam_hq_vit_l.pth",
        file="sam_hq_vit_l.pth",
        model="vit_l",
        content="SAM-HQ",
        megabytes=1250,
        sha256="e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343",
    ),
    Published(
        name="sam_hq_vit_h",
        url=f"{_HQ}sam_hq_vit_h.pth",
        file="sam_hq_vit_h.pth",
        model="vit_h",
        content="SAM-HQ",
        megabytes=2570,
        sha256="a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35",
    ),
    # What trainings of HQ parts begin with: decoders alone, to be put over a whole checkpoint.
    Published(
        name="sam_vit_b_maskdecoder",
        url=f"{_HQ_TRAINING}sam_vit_b_maskdecoder.pth",
        file="sam_vit_b_maskdecoder.pth",
        model="vit_b",
        content="mask decoder of SAM alone",
        megabytes=16.3,
        sha256="cc04d992a240528fa104032dd62e1217a97a1562fc47fb5c89c2c50b395469b9",
    ),
    Published(
        name="sam_vit_l_maskdecoder",
        url=f"{_HQ_TRAINING}sam_vit_l_maskdecoder.pth",
        file="sam_vit_l_maskdecoder.pth",
        model="vit_l",
        content="mask decoder of SAM alone",
        megabytes=16.3,
    ),
    Published(
        name="sam_vit_h_maskdecoder",
        url=f"{_HQ_TRAINING}sam_vit_h_maskdecoder.pth",
        file="sam_vit_h_maskdecoder.pth",
        model="vit_h",
        content="mask decoder of SAM alone",
        megabytes=16.3,
        sha256="7afd39a1935e2f06e3a06f010b26967ff749007bf438082668bfc97b67caaddc",
    ),
    # The same weights in Hugging Face's layout; no hash is published for them.
    Published(
        name="hf_sam_vit_base",
        url="https://huggingface.co/facebook/sam-vit-base/resolve/main/model.safetensors",
        file="hf_sam_vit_base.safetensors",
        model="vit_b",
        content="SAM (transformers)",
        megabytes=375,
    ),
    Published(
        name="hf_sam_hq_vit_base",
        url="https://huggingface.co/syscv-community/sam-hq-vit-base/resolve/main/model.safetensors",
        file="hf_sam_hq_vit_base.safetensors",
        model="vit_b",
        content="SAM-HQ (transformers)",
        megabytes=379,
    ),
)

PUBLISHED: Mapping[str, Published] = MappingProxyType({entry.name: entry for entry in _FILES})


def published(name: str) -> Published:
    """The file of that name; an unknown one is an error that lists the known ones."""
    if name not in PUBLISHED:
        raise UnknownModelError(f"no checkpoint is called {name!r}; known are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
