"""The parts of lite's tracker that can be switched off, to see what each is worth."""

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
"""What each one does:

- first-matching: dense matching to the first frame
- previous-frame: dense matching to the previous frame, and its mask seen through the window of now
- ridge: the target model, a ridge classifier on the keys
- ridge-updates: confident frames added to the target model
- memory-frames: confident frames matched like the first one
- motion: the window goes where the object is heading
- second-look: where a mask reaches the edge of its window, the window goes around that mask and is looked through again
- choice: of the decoder's masks the one that agrees best with the prior, not always the single one
- hq-agreement: of the HQ mask only the detail is used, and only along the border of SAM's, as away from it the two
  have to agree
- presence: an object may be called absent although a mask is found, where the decoder says so or where what the mask
  covers is not like the object
- search: an object that was lost, or that a cut left behind, is looked for in the whole frame
"""

TRACKER_PARTS: Final[tuple[TrackerPart, ...]] = get_args(TrackerPart)
