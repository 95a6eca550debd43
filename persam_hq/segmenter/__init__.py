"""Segmenters: one model, any number of objects, values in and values out."""

from persam_hq.segmenter.base import Choice, Decoded, Located, Memory, Segmenter
from persam_hq.segmenter.build import build_segmenter
from persam_hq.segmenter.lite.segmenter import LiteSegmenter
from persam_hq.segmenter.sam import SamSegmenter

__all__ = ["Choice", "Decoded", "LiteSegmenter", "Located", "Memory", "SamSegmenter", "Segmenter", "build_segmenter"]
