"""`per_segment_anything.utils`: transforms, masks and boxes, and (`onnx`, imported by itself) a model to export."""

from persam_hq.compat.per_segment_anything.utils import amg, transforms

__all__ = ["amg", "transforms"]
