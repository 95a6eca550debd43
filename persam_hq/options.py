"""Names of the parts of lite's tracker that `--without PART` leaves out; --help imports them, without torch.

Each part is a switch of `persam_hq.segmenter.lite.config.LiteConfig`, which says what it does and what it is worth.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["TRACKER_PARTS", "TrackerPart"]

TrackerPart = Literal[
    "first-matching",
    "previous-frame",
    "ridge",
    "ridge-updates",
    "memory-frames",
    "motion",
    "second-look",
    "choice",
    "hq-agreement",
    "presence",
    "search",
]
"""Sources of the dense prior (the first five), and steps of the tracker:

- first-matching: dense matching to the first frame
- previous-frame: dense matching to the previous frame, and its mask as it lies in the window of this frame
- ridge: the target model, a ridge classifier on the matching keys
- ridge-updates: confident frames added to the target model
- memory-frames: confident frames matched like the first one
- motion: each window moves on with its object
- second-look: where a mask reaches the edge of its window, the frame is looked at again through a window around it
- choice: of the decoder's masks the one that agrees best with the prior, not always the single one
- hq-agreement: of the HQ mask only the detail is used, and only along the border of SAM's mask
- presence: an object may be called absent although a mask is found, where what the mask covers is not like the object
- search: an object that was lost, or that a cut left behind, is looked for in the whole frame
"""

TRACKER_PARTS: Final[tuple[TrackerPart, ...]] = get_args(TrackerPart)
