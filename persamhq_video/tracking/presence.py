"""The decision whether an object is present, uncertain or absent on a frame, from what the decoder says of its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from persam_hq.segmenter import Decoded
from persamhq_video.types import PresenceState

__all__ = ["Presence"]


@dataclass(frozen=True, slots=True)
class Presence:
    """Probabilities in [0, 1] below which an object is called absent, and below which its mask is uncertain.

    An object that was absent needs more, `returns_from`, to be called present again: what looks like it is common, and
    a wrong mask is followed for long. With `absent_below` 0 an object is absent where its mask is empty.
    """

    # Set by hand: an object that is followed stays unless presence is all but ruled out, and one that was lost has to
    # be likelier there than not
    absent_below: float = 0.1
    returns_from: float = 0.5
    # Of presence times certainty, which is the score of scores.csv
    uncertain_below: float = 0.5

    def states(self, decoded: Decoded, missing: Tensor) -> tuple[PresenceState, ...]:
        """The state of each object; `missing` (K,) counts the frames since it was last seen."""
        areas = decoded.prediction.masks.flatten(1).sum(dim=1)
        return tuple(
            self._state(int(area), float(probability), float(certainty), was_absent=bool(gone))
            for area, probability, certainty, gone in zip(
                areas, decoded.presence, decoded.certainty, missing, strict=True
            )
        )

    def doubted(self, states: Sequence[PresenceState], decoded: Decoded, distinct: Tensor) -> tuple[PresenceState, ...]:
        """The states, with those that are called present in doubt where `distinct` (K,) makes their score low."""
        scores = (decoded.presence * decoded.certainty).cpu() * distinct
        return tuple(
            "uncertain" if state == "present" and score < self.uncertain_below else state
            for state, score in zip(states, scores.tolist(), strict=True)
        )

    def _state(self, area: int, probability: float, certainty: float, *, was_absent: bool) -> PresenceState:
        needed = self.returns_from if was_absent and self.absent_below > 0 else self.absent_below
        if area == 0 or probability < needed:
            return "absent"
        return "uncertain" if probability * certainty < self.uncertain_below else "present"
