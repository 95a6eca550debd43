"""`per_segment_anything.modeling.prompt_encoder` under its published name."""

from persam_hq.compat.modeling import PromptEncoder

__all__ = ["PromptEncoder"]
