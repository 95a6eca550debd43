"""The values of a tracker: the state that travels from frame to frame, the target of a video, an encoded frame.

The state is small and bounded, as it goes to another worker after each frame; features stay where they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from persam_hq.errors import InputError
from persam_hq.modeling.lite.ridge import RidgeSums
from persam_hq.segmenter import LiteMemory, Memory, SamMemory
from persam_hq.segmenter.lite.appearance import Appearance
from persam_hq.types import ImageFeatures
from persamhq_video.tracking.strategy import Slots, slot_bytes
from persamhq_video.types import Frame

BYTES_PER_OBJECT, BYTES_PER_VIDEO = 256 * 1024, 1024 * 1024
"""The bound of the travelling state, which goes to another worker after each frame: 1 MiB, and 256 KiB per object."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A frame and its features, kept on the worker that made them."""

    frame: Frame
    features: ImageFeatures

    def __repr__(self) -> str:
        return f"Encoded({self.frame!r}, {self.features!r})"


@dataclass(frozen=True, slots=True, eq=False)
class TrackTarget:
    """The object ids of a video, in the order of everything else, and what was learned from the first frame.

    `reference` is the segmenter's; `fitted` has the slots that the strategies fitted, one per object, selector first.
    """

    ids: tuple[int, ...]
    reference: Any
    fitted: Slots


def state_bound(objects: int) -> int:
    """Bytes that the state of so many objects may hold."""
    return BYTES_PER_VIDEO + BYTES_PER_OBJECT * objects


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What travels from frame to frame; None in `independent` mode. `slots` are those of strategies that remember."""

    memory: Memory | None
    slots: Slots = ()

    def __post_init__(self) -> None:
        if self.memory is not None:
            held, bound = self.memory.nbytes + slot_bytes(self.slots), state_bound(len(self.memory.boxes))
            assert held <= bound, f"the state holds {held} bytes, more than {bound}"


STATE_TYPES: tuple[type, ...] = (State, LiteMemory, SamMemory, Appearance, RidgeSums)
"""What a state is made of, beside tensors and plain values; see TrackerBuilder."""


def check_room(memory: Memory) -> None:
    """Refuse more objects than the state has room for, on the first frame: what they take does not grow later."""
    k = len(memory.boxes)
    beyond = memory.nbytes - k * BYTES_PER_OBJECT
    if beyond > BYTES_PER_VIDEO:
        raise InputError(
            f"got {k} objects on the first frame, expected at most {k * BYTES_PER_VIDEO // beyond} at this detail;"
            " track fewer at a time, or all of them with --detail normal"
        )
