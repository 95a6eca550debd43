"""PerSAM-HQ: segment the object that one reference image and mask show, with the masks of HQ-SAM."""

from persam_hq.build import sam_model_registry
from persam_hq.predictor import PerSamPredictor, SamPredictor
from persam_hq.pretrained import load_model

__all__ = ["PerSamPredictor", "SamPredictor", "load_model", "sam_model_registry"]
