"""`segment_anything.modeling.sam` under its published name."""

from persam_hq.compat.modeling import Sam

__all__ = ["Sam"]
