"""`per_segment_anything.utils.transforms` under its published name."""

from persam_hq.compat.resize import ResizeLongestSide

__all__ = ["ResizeLongestSide"]
