"""Models by name: built, and filled with the weights of a checkpoint."""

from persam_hq.build.sam import build_model, sam_model_registry

__all__ = ["build_model", "sam_model_registry"]
