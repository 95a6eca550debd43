"""Batches made ahead of the optimiser, in threads beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

BatchT = TypeVar("BatchT")

AHEAD: Final = 2
"""Batches that are ready or being made beside the one in use. Chosen: some batches take longer to make than others."""


def prefetch(make: Callable[[int], BatchT], *, start: int, stop: int, workers: int = 1) -> Iterator[tuple[int, BatchT]]:
    """(step, `make(step)`) for each step from `start` to `stop` - 1, in order, some of them made in advance.

    `make` runs in so many threads (`workers`), with AHEAD batches waiting beside those being made. It depends on the
    number of the step alone, so that a resumed run gets the same batches.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: deque[tuple[int, Future[BatchT]]] = deque()
        for step in range(start, stop):
            pending.append((step, pool.submit(make, step)))
            if len(pending) >= AHEAD + workers:
                ready, batch = pending.popleft()
                yield ready, batch.result()
        # No step is left to ask for
        for ready, batch in pending:
            yield ready, batch.result()
