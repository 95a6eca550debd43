"""Batches of reference and target for SAM-type models: a row of a step is the same on any worker, beside any rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from persam_hq.errors import InputError
from persam_hq.training.data.pair_sources import PairSource
from persam_hq.training.data.prefetch import prefetch
from persam_hq.training.data.views import View, draw_view

_MAX_DRAWS: Final = 1000
"""Usable data gives a pair within a few draws; this many without one mean that the data is not usable."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two views of one object: the reference personalizes, the target is segmented."""

    reference: View
    target: View

    def __repr__(self) -> str:
        return f"Pair(reference={self.reference!r}, target={self.target!r})"


class PairMaker:
    """Draws pairs from sources by their weights, as views whose longer side is `side` pixels."""

    def __init__(self, sources: Sequence[PairSource], weights: Sequence[float], *, side: int, seed: int) -> None:
        self.sources, self.side, self.seed = sources, side, seed
        self.probabilities = np.asarray(weights) / np.sum(weights)

    def batch(self, step: int, rows: Sequence[int], *, purpose: int) -> tuple[Pair, ...]:
        """The pairs of those rows of a step; `purpose` keeps training and validation apart."""
        return tuple(self._pair(np.random.default_rng([self.seed, purpose, step, row])) for row in rows)

    def stream(
        self, *, start: int, stop: int, rows: Sequence[int], purpose: int
    ) -> Iterator[tuple[int, tuple[Pair, ...]]]:
        """(step, pairs) for each step, made ahead in a thread."""
        return prefetch(partial(self.batch, rows=rows, purpose=purpose), start=start, stop=stop)

    def _pair(self, rng: np.random.Generator) -> Pair:
        """Drawn again until both views show enough of the object; InputError where none ever do."""
        for _ in range(_MAX_DRAWS):
            source = self.sources[int(rng.choice(len(self.sources), p=self.probabilities))]
            drawn = source.draw(rng)
            if drawn is None:
                continue
            reference, target = (draw_view(annotated, rng, side=self.side) for annotated in drawn)
            if reference.usable and target.usable:
                return Pair(reference=reference, target=target)
        raise InputError(f"{_MAX_DRAWS} pairs drawn and no object large enough in any; check the masks")
