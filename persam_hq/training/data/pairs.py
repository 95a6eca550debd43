"""Batches of reference and target: row `r` of step `s` is the same in whatever process, and beside whatever rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from persam_hq.errors import InputError
from persam_hq.training.data.pair_sources import PairSource
from persam_hq.training.data.views import View, draw_view

_MOST_DRAWS: Final = 1000
_AHEAD: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two views of one object: the reference personalizes, the target is segmented."""

    reference: View
    target: View

    def __repr__(self) -> str:
        return f"Pair(reference={self.reference!r}, target={self.target!r})"


class PairMaker:
    """Draws pairs from sources by their weights, with views of `side` pixels."""

    def __init__(self, sources: Sequence[PairSource], weights: Sequence[float], *, side: int, seed: int) -> None:
        self.sources, self.side, self.seed = sources, side, seed
        self.probabilities = np.asarray(weights) / np.sum(weights)

    def batch(self, step: int, rows: Sequence[int], *, purpose: int) -> tuple[Pair, ...]:
        """The pairs of those rows of a step."""
        return tuple(self._pair(np.random.default_rng([self.seed, purpose, step, row])) for row in rows)

    def stream(
        self, *, start: int, stop: int, rows: Sequence[int], purpose: int
    ) -> Iterator[tuple[int, tuple[Pair, ...]]]:
        """(step, pairs) for each step, two made ahead in a thread."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            pending: list[tuple[int, Future[tuple[Pair, ...]]]] = []
            for step in range(start, stop):
                pending.append((step, pool.submit(self.batch, step, rows, purpose=purpose)))
                if len(pending) > _AHEAD:
                    ready, future = pending.pop(0)
                    yield ready, future.result()
            for ready, future in pending:
                yield ready, future.result()

    def _pair(self, rng: np.random.Generator) -> Pair:
        """Drawn again until both views show enough of the object; InputError where none ever do."""
        for _ in range(_MOST_DRAWS):
            source = self.sources[int(rng.choice(len(self.sources), p=self.probabilities))]
            drawn = source.draw(rng)
            if drawn is None:
                continue
            reference, target = (draw_view(sight, rng, side=self.side) for sight in drawn)
            if reference.usable and target.usable:
                return Pair(reference=reference, target=target)
        raise InputError(f"{_MOST_DRAWS} pairs drawn and no object large enough in any; check the masks")
