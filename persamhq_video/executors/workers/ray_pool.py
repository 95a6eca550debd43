"""The Ray pool: workers as actors, on this machine or a cluster.

Features stay on the actor that made them; the state travels as a reference. Encode and track run in concurrency groups
of their own and out of order: in submission order a `track` that waits for a state of another worker would hold back
every `encode` that was sent after it. So order comes from the scheduler alone, which sends nothing too early.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, ObjectLostError, OwnerDiedError, RayActorError, RayError, RayTaskError

from persam_hq.errors import error_line, one_line
from persamhq_video.errors import ExecutorError, PersamHQVideoError
from persamhq_video.executors.usage import Usage
from persamhq_video.executors.workers.frame_reader import FrameReference
from persamhq_video.executors.workers.ray_session import DIRECT_BYTES, Connection, connect
from persamhq_video.executors.workers.result_transfer import PackedResult
from persamhq_video.executors.workers.worker import Worker, WorkerJob
from persamhq_video.executors.workers.worker_pool import (
    RAY_FRAMES_AHEAD,
    Call,
    Mailbox,
    Message,
    StateLostError,
    WorkerLostError,
)
from persamhq_video.foreign import running_by_stage
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.protocols.tracker import Beginning
from persamhq_video.types import CallKind, Frame

__all__ = ["Cluster", "RayPool", "check_resources", "worker_environment"]

_ASK_SECONDS: Final = 2.0
"""How long a worker that hangs may take to say what it is busy with; all videos wait for it."""
_STAGES: Final[Mapping[CallKind, tuple[str, ...]]] = {
    "encode": ("the stage begin", "the stage worker_decode", "the stage encode"),
    "track": ("the stage track",),
}
"""What a worker calls the stages of each kind of call; see `Worker`."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run and what each reserves; `address=None` starts a cluster of our own for the run.

    weights: a file that every node is sent once, None where the nodes have it; workers_decode: they read the videos
    themselves, so that no frame but the first has to travel; start_timeout: seconds until the workers have to be
    ready; connect_timeout: seconds within which the cluster at `address` has to answer.
    """

    workers: int
    cpus_per_worker: int
    address: str | None = None
    gpus_per_worker: float = 0
    weights: Path | None = None
    workers_decode: bool = False
    start_timeout: float = 600.0
    connect_timeout: float = 30.0


class RayWorker(Worker):
    """A worker whose results travel to another process; the newest state of each video stays here as well."""

    def __init__(self, job: WorkerJob) -> None:
        super().__init__(job)
        self._newest_states: dict[int, Any] = {}

    def begin_packed(self, video: int, frame: Frame, labels: NDArray[np.uint8]) -> tuple[Any, Any, PackedResult]:
        """See Worker.begin; the target, the first state, the first result."""
        beginning = self.begin(video, frame, labels)
        return beginning.target, beginning.state, PackedResult.of(beginning.result)

    def track_packed(
        self, video: int, state: Any, index: int, *, target_received: bool, from_newest: bool
    ) -> tuple[Any, PackedResult]:
        """See Worker.track; `from_newest`: from the state that the last call here gave, which is not sent again."""
        state = self._newest_states[video] if from_newest else state
        self._newest_states[video], result = self.track(video, state, index, target_received=target_received)
        return self._newest_states[video], PackedResult.of(result)

    def busy_with(self) -> dict[str, str]:
        """What the stages under way are busy with, such as a plugin."""
        return running_by_stage()

    def close_video(self, video: int) -> Usage:
        """See Worker.close_video."""
        self._newest_states.pop(video, None)
        return super().close_video(video)


class RayPool:
    """One actor per worker; `job` is sent to every actor. See Pool."""

    replaceable = True
    frames_ahead = RAY_FRAMES_AHEAD

    def __init__(self, job: WorkerJob, cluster: Cluster) -> None:
        self.size = cluster.workers
        self.mailbox: Mailbox = Mailbox()
        self._job, self._cluster = job, cluster
        self._actors: list[Any] = []
        # References to answers of `receive_target`, by worker and video.
        self._received: dict[tuple[int, int], Any] = {}
        self._sources: dict[int, FrameSource] = {}
        # The worker that tracks each video's newest frame, and the reference to the state that it gives.
        self._newest: dict[int, tuple[int, Any]] = {}
        self._chained = True
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        try:
            cpus = self.size * self._cluster.cpus_per_worker
            self._connection = connect(self._cluster.address, cpus=cpus, timeout=self._cluster.connect_timeout)
            self._check_room()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def chained(self) -> bool:
        """See Pool."""
        return self._chained

    def announce(self, video: int, source: FrameSource | None) -> None:
        """See Pool."""
        if self._cluster.workers_decode and source is not None:
            self._sources[video] = source

    def begin(self, call: Call, video: int, frame: Frame, labels: NDArray[np.uint8]) -> None:
        """See Pool. The driver owns the target: a video outlives the worker that it began on."""
        begin = self._actors[call.worker].begin_packed.options(concurrency_group="encode")

        def beginning(values: tuple[Any, Any, PackedResult]) -> Beginning[Any, Any]:
            target, state, packed = values
            return Beginning(ray.put(target), state, packed.unpack())

        self._answer(call, begin.remote(video, frame, labels), beginning)

    def encode(self, call: Call, video: int, frame: Frame) -> None:
        """See Pool."""
        encode = self._actors[call.worker].encode.options(concurrency_group="encode")
        source = self._sources.get(video)
        self._answer(call, encode.remote(video, frame if source is None else FrameReference.of(source, frame)))

    def track(self, call: Call, video: int, *, target: Any, state: Any, index: int) -> Any:
        """See Pool. The worker's first frame of a video waits until it has the target."""
        # Send the target to this worker once.
        actor, key = self._actors[call.worker], (call.worker, video)
        if key not in self._received:
            self._received[key] = actor.receive_target.options(concurrency_group="track").remote(video, target)

        # The state goes along, unless this worker made it with its last call.
        last_worker, newest = self._newest.get(video, (-1, None))
        from_newest = last_worker == call.worker and newest is state
        sent = None if from_newest else state

        # State and result are references of their own: the result is fetched, the state stays where it is.
        track = actor.track_packed.options(num_returns=2, concurrency_group="track")
        next_state, result = track.remote(
            video, sent, index, target_received=self._received[key], from_newest=from_newest
        )
        self._newest[video] = (call.worker, next_state)
        self._answer(call, result, PackedResult.unpack)
        return next_state

    def fetch(self, call: Call, state: Any) -> None:
        """See Pool; a first state, or that of an earlier run, is here by value."""
        if isinstance(state, ray.ObjectRef):
            self._answer(call, state)
        else:
            self.mailbox.put(Message(call, state))

    def close_video(self, call: Call, video: int) -> None:
        """See Pool."""
        self._received.pop((call.worker, video), None)
        self._sources.pop(video, None)
        self._newest.pop(video, None)
        self._answer(call, self._actors[call.worker].close_video.remote(video))

    def replace(self, call: Call) -> None:
        """See Pool."""
        # The driver starts a fresh actor itself: one that Ray restarts comes back silently, with no features.
        ray.kill(self._actors[call.worker])

        # The new one has no target, and no state from a last call.
        for key in [key for key in self._received if key[0] == call.worker]:
            del self._received[key]
            self._newest.pop(key[1], None)
        actor = self._actors[call.worker] = self._actor()
        self._answer(call, self._prepare(actor, call.worker))

    def abandon(self, call: Call, kind: CallKind) -> str | None:
        """See Pool: the worker is asked in a thread that is free, but does not answer while a plugin holds its GIL."""
        busy: dict[str, str] = {}
        with contextlib.suppress(RayError):
            ask = self._actors[call.worker].busy_with.options(concurrency_group="ask")
            busy = ray.get(ask.remote(), timeout=_ASK_SECONDS)
        return next((busy[stage] for stage in _STAGES[kind] if stage in busy), None)

    def _answer(self, call: Call, reference: Any, convert: Callable[[Any], Any] = lambda value: value) -> None:
        """Put the reply, converted, into the mailbox once it is here; Ray calls back in a thread of its own."""

        def done(future: Future[Any]) -> None:
            error = future.exception()
            if error is not None:
                self.mailbox.put(Message(call, error=_translated(error)))
                return
            try:
                self.mailbox.put(Message(call, convert(future.result())))
            except RayError as exc:
                self.mailbox.put(Message(call, error=_translated(exc)))

        reference.future().add_done_callback(done)

    def _check_room(self) -> None:
        """Refuse what the cluster could never place, instead of waiting for it."""
        # All nodes together.
        needs = {"CPU": self._cluster.cpus_per_worker, "GPU": self._cluster.gpus_per_worker}
        check_resources(self.size, needs)

        # Each node by itself, since a worker cannot be spread over two.
        nodes: list[Mapping[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        places = sum(_workers_that_fit(node["Resources"], needs) for node in nodes if node["Alive"])
        if self.size > places:
            each = " and ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
            raise ExecutorError(f"{self.size} workers with {each} each do not fit; the nodes have room for {places}")

    def _start(self) -> None:
        """Start the actors and wait until each has built its tracker."""
        # Their processes: the math threads of the fingerprint, and Ray's limit for what travels with a call.
        threads = self._cluster.cpus_per_worker
        environment = worker_environment(threads=threads, address=self._cluster.address)
        environment["RAY_max_direct_call_object_size"] = str(DIRECT_BYTES)

        # `max_restarts` and `allow_out_of_order_execution`: see `replace` and the top of the module. Task events would
        # cost the driver time with every call, for a dashboard that is off.
        options = {
            "num_cpus": threads,
            "num_gpus": self._cluster.gpus_per_worker,
            "max_restarts": 0,
            "allow_out_of_order_execution": True,
            "enable_task_events": False,
            "concurrency_groups": {"encode": 1, "track": 1, "ask": 1},
            "runtime_env": {"env_vars": environment},
        }

        # Job and weights go into the object store once, and to each machine once.
        as_actor: Any = ray.remote
        self._actor_class = as_actor(**options)(RayWorker)
        self._job_reference = ray.put(self._job)
        weights = self._cluster.weights
        self._weights = None if weights is None else ray.put(np.fromfile(weights, dtype=np.uint8))

        # All of them prepare at the same time.
        self._actors = [self._actor() for _ in range(self.size)]
        ready = [self._prepare(actor, number) for number, actor in enumerate(self._actors)]
        try:
            self._chained = bool(ray.get(ready, timeout=self._cluster.start_timeout)[0])
        except GetTimeoutError as exc:
            raise ExecutorError(
                f"{self.size} workers were not all ready within {self._cluster.start_timeout:g} s; other jobs may hold"
                " what they reserve: ask for fewer --workers, wait, or give them longer with --call-timeout"
            ) from exc
        except RayError as exc:
            raise _fatal(exc) from exc

    def _actor(self) -> Any:
        return self._actor_class.remote(self._job_reference)

    def _prepare(self, actor: Any, number: int) -> Any:
        return actor.prepare.remote(f"worker {number + 1} of {self.size}", self._weights)


def _workers_that_fit(resources: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many workers one node has room for."""
    return int(min(resources.get(name, 0) / amount for name, amount in needs.items() if amount))


def check_resources(workers: int, needs: Mapping[str, float]) -> None:
    """Refuse more workers than the nodes of the cluster have room for together; `needs`: of each, as Ray names it."""
    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, amount in needs.items():
        has = resources.get(name, 0)
        if workers * amount > has:
            raise ExecutorError(f"{workers} workers with {amount:g} {name} each do not fit a cluster with {has:g}")


def worker_environment(*, threads: int, address: str | None) -> dict[str, str]:
    """The environment variables of each worker's process."""
    # As many math threads as cores are reserved: by default each worker would take all of its machine's.
    environment = {"OMP_NUM_THREADS": str(threads)}
    if address is None:
        # What this process can import (a plugin module, say), its workers on the same machine can.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return environment


def _translated(error: BaseException) -> BaseException:
    """Ray's errors as those of Pool; what a worker raised on purpose as it was."""
    if isinstance(error, RayActorError):
        return WorkerLostError(one_line(error))
    if isinstance(error, ObjectLostError | OwnerDiedError):
        return StateLostError(one_line(error))
    if isinstance(error, RayTaskError):
        cause: Any = error.cause
        if isinstance(cause, PersamHQVideoError):
            return cause
        if isinstance(cause, ObjectLostError):
            return StateLostError(one_line(cause))
    return _fatal(error)


def _fatal(error: BaseException) -> PersamHQVideoError:
    """An error that ends a video, or the whole job where it comes at the start, in one line."""
    if isinstance(error, RayTaskError):
        cause: Any = error.cause
        if isinstance(cause, PersamHQVideoError):
            return cause
        return ExecutorError(f"a worker failed: {error_line(cause)}")
    if isinstance(error, RayActorError):
        return ExecutorError("a worker died while it started; it may have run out of memory, try fewer --workers")
    return ExecutorError(f"Ray failed: {one_line(error)}")
