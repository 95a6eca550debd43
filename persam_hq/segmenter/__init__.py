"""Segmenters: one model, any number of objects, values in and values out."""

from persam_hq.segmenter.base import AnySegmenter, Choice, Decoded, Located, Look, Memory, Segmenter
from persam_hq.segmenter.build import build_segmenter
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.memory import LiteMemory
from persam_hq.segmenter.lite.segmenter import LiteSegmenter
from persam_hq.segmenter.sam import SamMemory, SamSegmenter

__all__ = [
    "AnySegmenter",
    "Choice",
    "Decoded",
    "LiteConfig",
    "LiteMemory",
    "LiteSegmenter",
    "Located",
    "Look",
    "Memory",
    "SamMemory",
    "SamSegmenter",
    "Segmenter",
    "build_segmenter",
]
