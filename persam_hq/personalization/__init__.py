"""PerSAM as plain functions on tensors: target, location prior, guidance, points, cascade, scale weights.

Nothing here knows a model, a file or a device choice; plugins may import all of it.
"""

from persam_hq.mask_boxes import inclusive_box as mask_box
from persam_hq.personalization.cascade import Decode, cascade, refine, refine_weighed
from persam_hq.personalization.guidance import Alignment, attention_similarity, guide
from persam_hq.personalization.points import bottom_points, top_points
from persam_hq.personalization.scale_loss import scale_loss
from persam_hq.personalization.scale_weights import ScaleSolver, Schedule, fit_scale_weights, weigh_masks
from persam_hq.personalization.similarity import cosine_grid, grid_to_image, locate
from persam_hq.personalization.target import Pooling, foreground_cells, target_from_features

__all__ = [
    "Alignment",
    "Decode",
    "Pooling",
    "ScaleSolver",
    "Schedule",
    "attention_similarity",
    "bottom_points",
    "cascade",
    "cosine_grid",
    "fit_scale_weights",
    "foreground_cells",
    "grid_to_image",
    "guide",
    "locate",
    "mask_box",
    "refine",
    "refine_weighed",
    "scale_loss",
    "target_from_features",
    "top_points",
    "weigh_masks",
]
