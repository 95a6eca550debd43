"""`segment_anything.modeling.transformer` under its published name."""

from persam_hq.compat.modeling import TwoWayTransformer

__all__ = ["TwoWayTransformer"]
