"""Image prompts on lite: points, a box or a rough mask, looked at through windows and corrected in several passes."""

from persam_hq.prompting.policy import PromptPolicy
from persam_hq.prompting.segment import encode_image, segment_prompts

__all__ = ["PromptPolicy", "encode_image", "segment_prompts"]
