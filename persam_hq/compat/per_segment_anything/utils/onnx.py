"""`per_segment_anything.utils.onnx` under its published name."""

from persam_hq.compat.onnx import SamOnnxModel

__all__ = ["SamOnnxModel"]
