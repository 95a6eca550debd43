"""Image prompts on lite: from points, a box or a rough mask to masks, through windows and in several passes.

Segment Anything answers a prompt in one decoder pass over the whole image. Lite's decoder sees one window at a time, so
this package chooses the windows (`windows`), draws the prompt into them (`prompt_map`), rates the masks that come out
(`candidates`), picks what is returned (`multimask`) and runs the passes (`segment`).
"""

from persam_hq.prompting.policy import PromptPolicy
from persam_hq.prompting.segment import encode_image, segment_prompts

__all__ = ["PromptPolicy", "encode_image", "segment_prompts"]
