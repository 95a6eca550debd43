"""Models by name: built at their published sizes, and filled with the weights of a checkpoint.

`sam` has Segment Anything's sizes, `lite` lite's, and `pretrained` loads either ready for the predictors.
"""

from persam_hq.build.lite import embedded_weights
from persam_hq.build.sam import ModelBuilder, build_model, sam_model_registry

__all__ = ["ModelBuilder", "build_model", "embedded_weights", "sam_model_registry"]
