"""The driver's side of an executor: scheduling, placement, prefetching, recovery."""
