"""Workers as Ray actors, on this machine or on a cluster; the only module that imports ray.

Features stay on the worker that made them, the small state travels, and one `track` is in flight. Actors run encode
and track in concurrency groups of their own and out of order, so order comes from data alone: a `track` call is
handed what its `encode` call returned.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError, RayTaskError

from persamhq_video.errors import ExecutorError, PersamHQVideoError
from persamhq_video.executors.base import TotalUsage, Tracked
from persamhq_video.executors.run_ahead import run_ahead
from persamhq_video.executors.window import Window, submit_ahead
from persamhq_video.executors.worker import Worker
from persamhq_video.job import Job
from persamhq_video.types import Frame

_BLOCK: Final = 4
"""Neighbouring frames that go to one worker, so that the state travels once a block."""
_BLOCKS_AHEAD: Final = 2
_QUEUE_DEPTH: Final = 2
_START_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run and what each reserves; `address=None` starts a cluster of our own for the run."""

    workers: int
    address: str | None = None
    gpus_per_worker: float = 0


@dataclass(frozen=True, slots=True, eq=False)
class _UnderWay:
    """A frame that a worker encodes; in the modes without a chain its tracking is submitted as well."""

    frame: Frame
    worker: Any
    encoded: Any
    result: Any = None


class RayExecutor:
    """Spreads the frames of a video over actors, in blocks by frame index."""

    def __init__(self, job: Job, cluster: Cluster) -> None:
        self._job, self._cluster = job, cluster
        self._workers: list[Any] = []
        self._chained = True
        self._owns_cluster = False

    def __enter__(self) -> Self:
        try:
            cpus = self._cluster.workers * self._job.config.threads_per_worker
            self._owns_cluster = connect(self._cluster.address, cpus=cpus)
            self._check_room()
            self._start_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            ray.kill(worker)
        self._workers = []
        if self._owns_cluster:
            ray.shutdown()

    def stream(self, frames: Iterator[Frame], labels: NDArray[np.uint8]) -> Generator[Tracked, None, None]:
        """Results in frame order; decoding, the workers and the caller's own work overlap."""
        decoded = run_ahead(frames, depth=_QUEUE_DEPTH, name="decode")
        return run_ahead(self._fold(decoded, labels), depth=_QUEUE_DEPTH, name="drive")

    def usage(self) -> TotalUsage:
        """What the workers did since the last `stream` began."""
        with _plain_errors():
            return TotalUsage.of(ray.get([worker.usage.remote() for worker in self._workers]))

    def _fold(self, frames: Generator[Frame, None, None], labels: NDArray[np.uint8]) -> Generator[Tracked, None, None]:
        try:
            first = next(frames)
            with _plain_errors():
                state, result = self._begin(first, labels)
            yield Tracked(first, result)
            yield from self._chain(frames, state) if self._chained else self._spread(frames, state)
        finally:
            frames.close()

    def _begin(self, frame: Frame, labels: NDArray[np.uint8]) -> tuple[Any, Any]:
        """The reference of the first state, and the first result; every worker is sent the target once."""
        ray.get([worker.open_video.remote() for worker in self._workers])
        begin = self._workers[0].begin.options(num_returns=3)
        target, state, result = begin.remote(frame, labels)
        ray.get([worker.adopt.remote(target) for worker in self._workers])
        return state, ray.get(result)

    def _chain(self, frames: Iterator[Frame], state: Any) -> Iterator[Tracked]:
        """One `track` at a time, on the worker that holds the frame's features."""
        window = self._window()
        for item in submit_ahead(frames, self._encode, window):
            with _plain_errors(item.frame.index):
                window.saw(ray.get(item.encoded))
                state, result = self._track(item.worker, state, item.frame.index, item.encoded)
                tracked = Tracked(item.frame, ray.get(result))
            yield tracked

    def _spread(self, frames: Iterator[Frame], state: Any) -> Iterator[Tracked]:
        """Every frame tracked from the first state as soon as it is encoded."""

        def submit(frame: Frame) -> _UnderWay:
            item = self._encode(frame)
            _, result = self._track(item.worker, state, frame.index, item.encoded)
            return _UnderWay(frame, item.worker, item.encoded, result)

        for item in submit_ahead(frames, submit, self._window()):
            with _plain_errors(item.frame.index):
                tracked = Tracked(item.frame, ray.get(item.result))
            yield tracked

    def _encode(self, frame: Frame) -> _UnderWay:
        worker = self._workers[frame.index // _BLOCK % len(self._workers)]
        with _plain_errors(frame.index):
            return _UnderWay(frame, worker, worker.encode.options(concurrency_group="encode").remote(frame))

    def _track(self, worker: Any, state: Any, index: int, encoded: Any) -> Any:
        return worker.track.options(num_returns=2, concurrency_group="track").remote(state, index, encoded)

    def _window(self) -> Window:
        budget = int(self._job.config.feature_budget)
        frames = _BLOCK * _BLOCKS_AHEAD
        return Window(frames=frames, budget=budget, workers=len(self._workers), block=_BLOCK)

    def _check_room(self) -> None:
        """Refuse what the cluster could never place, instead of waiting for it."""
        resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        workers = self._cluster.workers
        needs = {"CPU": self._job.config.threads_per_worker, "GPU": self._cluster.gpus_per_worker}
        for name, amount in needs.items():
            if workers * amount > resources.get(name, 0):
                has = resources.get(name, 0)
                raise ExecutorError(f"{workers} workers with {amount:g} {name} each do not fit a cluster with {has:g}")

    def _start_workers(self) -> None:
        threads = self._job.config.threads_per_worker
        environment = {"OMP_NUM_THREADS": str(threads)}
        if self._cluster.address is None:
            # What this process can import (a plugin module, say), its workers on the same machine can.
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        options = {
            "num_cpus": threads,
            "num_gpus": self._cluster.gpus_per_worker,
            "max_restarts": 0,
            "allow_out_of_order_execution": True,
            "concurrency_groups": {"encode": 1, "track": 1},
            "runtime_env": {"env_vars": environment},
        }
        as_actor: Any = ray.remote
        actor = as_actor(**options)(Worker)
        job = ray.put(self._job)
        count = self._cluster.workers
        self._workers = [actor.remote(job) for _ in range(count)]
        names = [f"worker {number} of {count}" for number in range(1, count + 1)]
        with _plain_errors():
            answers = ray.get([w.prepare.remote(name) for w, name in zip(self._workers, names, strict=True)])
        self._chained = bool(answers[0])


def connect(address: str | None, *, cpus: int) -> bool:
    """Join the cluster at `address`, or start one with room for `cpus`; False if this process has one already."""
    if ray.is_initialized():
        return False
    # Ray tells of its dashboard, its metrics and its GPU variables; a run has nothing to do with them.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {"num_cpus": max(cpus, os.cpu_count() or 1), "include_dashboard": False}
    options = own if address is None else {}
    # On a machine that is busy Ray gives up on its own processes after 30 seconds; they are quicker when tried again.
    for attempts_left in reversed(range(_START_ATTEMPTS if address is None else 1)):
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as exc:
            ray.shutdown()
            if not attempts_left:
                reason = " ".join(str(exc).split())
                raise ExecutorError(f"cannot start or reach Ray (address {address or 'local'}): {reason}") from exc
        else:
            break
    return True


@contextmanager
def _plain_errors(index: int | None = None) -> Iterator[None]:
    """Ray's errors as ours: what a worker raised as it was, a dead worker in one line."""
    where = "" if index is None else f" at frame {index}"
    try:
        yield
    except RayTaskError as exc:
        cause = exc.cause
        if isinstance(cause, PersamHQVideoError):
            raise cause from None
        raise ExecutorError(f"a worker failed{where}: {type(cause).__name__}: {' '.join(str(cause).split())}") from exc
    except RayActorError as exc:
        raise ExecutorError(f"a worker died{where}; it may have run out of memory, try fewer --workers") from exc
    except RayError as exc:
        raise ExecutorError(f"Ray failed{where}: {' '.join(str(exc).split())}") from exc
