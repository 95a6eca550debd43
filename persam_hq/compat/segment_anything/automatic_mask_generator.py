"""`segment_anything.automatic_mask_generator` under its published name."""

from persam_hq.compat.automatic_mask_generator import SamAutomaticMaskGenerator

__all__ = ["SamAutomaticMaskGenerator"]
