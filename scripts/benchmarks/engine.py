"""The speed of the engine apart from the model: the benchmark behind `scripts/benchmarks/run.py engine`.

Workers that only sleep show what the scheduling leaves of the ideal; ones that do nothing show what it costs per frame.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from persamhq_video.config import make_config
from persamhq_video.errors import ExecutorError
from persamhq_video.executors import CallKind, Continuation, Executor, TotalUsage, Tracked, open_executor
from persamhq_video.executors.workers.ray_pool import Cluster, RayPool
from persamhq_video.executors.workers.ray_session import connect
from persamhq_video.io import open_source, read_first_masks
from persamhq_video.io.readers.open import FrameSource
from persamhq_video.job.prepare import make_job
from persamhq_video.protocols.tracker import Beginning
from persamhq_video.types import Frame, FrameResult, ObjectResult

HEIGHT, WIDTH = 480, 854
"""DAVIS at 480p."""
STATE_BYTES = 256 * 1024
"""The most that a state may have per object."""
CALL_TIMEOUT = 120.0
"""Long enough for many workers to start on few cores."""
POLL_SECONDS = 0.02

Labels = NDArray[np.uint8]
State = NDArray[np.uint8]


class SleepingTracker:
    """A tracker that sleeps as if it computed on one core: a `track` meanwhile makes an `encode` take longer by it."""

    chained = True

    def __init__(self, *, encode_seconds: float, track_seconds: float) -> None:
        self._encode_seconds, self._track_seconds = encode_seconds, track_seconds
        self._tracking_seconds = 0.0

    def begin(self, frame: Frame, labels: Labels) -> Beginning[Labels, State]:
        """Any labels will do."""
        self.encode(frame)
        return Beginning(labels, self._state(frame), _result(frame, labels))

    def encode(self, frame: Frame) -> Frame:
        """The frame itself, late."""
        # Sleep, and then as long again as was tracked meanwhile.
        left, before = self._encode_seconds, self._tracking_seconds
        while left > 0:
            time.sleep(left)
            left, before = self._tracking_seconds - before, self._tracking_seconds
        return frame

    def track(self, target: Labels, state: State, features: Frame) -> tuple[State, FrameResult]:
        """The target where it was, if the state is the one after the frame before."""
        assert int(state[0]) == (features.index - 1) % 256, "a state came out of order"
        time.sleep(self._track_seconds)
        self._tracking_seconds += self._track_seconds
        return self._state(features), _result(features, target)

    def feature_bytes(self, features: Frame) -> Mapping[str, int]:
        """As a tracker counts them."""
        return {"image": features.image.nbytes}

    def counts(self) -> Mapping[str, int]:
        """Nothing is counted."""
        return {}

    @staticmethod
    def _state(frame: Frame) -> State:
        return np.full(STATE_BYTES, frame.index % 256, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class SleepingJob:
    """See `persamhq_video.executors.workers.worker.WorkerJob`."""

    encode_seconds: float
    track_seconds: float

    def delivered(self, weights: NDArray[np.uint8] | None) -> SleepingJob:
        """There are no weights."""
        del weights
        return self

    def discard_delivery(self) -> None:
        """Nothing was delivered."""

    def check_fingerprint(self, worker: str) -> None:
        """Many workers fit into memory because none of them imports torch."""
        assert "torch" not in sys.modules, f"{worker} has imported torch"

    def build(self) -> SleepingTracker:
        """A tracker of its own for each worker."""
        return SleepingTracker(encode_seconds=self.encode_seconds, track_seconds=self.track_seconds)

    def computing(self) -> AbstractContextManager[None]:
        """Nothing is computed."""
        return nullcontext()

    def feature_budget(self) -> int:
        """Enough for all frames that the engine wants to run ahead."""
        return 2**30

    def release_memory(self) -> None:
        """Nothing is kept in reserve."""


class Clip:
    """One video without an end, a client of the executor: its images are made once, and nothing is written."""

    labels: Labels = np.full((HEIGHT, WIDTH), 1, dtype=np.uint8)
    continuation: Continuation | None = None
    source: FrameSource | None = None
    failure: BaseException | None = None
    backlog = 0
    safe_until = sys.maxsize

    def __init__(self) -> None:
        self.delivered_at: list[float] = []
        self.error: BaseException | None = None

    def frames(self) -> Iterator[Frame]:
        """Frames of noise, with time stamps as a stream has them."""
        image = np.random.default_rng(7).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        index = 0
        while True:
            yield Frame(index, index * 512, Fraction(1, 12800), image, f"{index:05d}")
            index += 1

    def begun(self, kind: CallKind, index: int) -> None:
        """See Client."""

    def deliver(self, tracked: Tracked) -> None:
        """See Client."""
        assert tracked.result.index == len(self.delivered_at), "results came out of order"
        self.delivered_at.append(time.perf_counter())

    def snapshot(self, index: int, state: Any) -> None:
        """See Client."""

    def ended(self, usage: TotalUsage, error: BaseException | None) -> None:
        """See Client."""
        del usage
        self.error = error


@dataclass(frozen=True, slots=True)
class Speed:
    """One measurement, beside what the workers could do if nothing but their work took time (None: no limit).

    driver_seconds: CPU time of the driver per frame, all of its threads together.
    """

    workers: int
    videos: int
    frames_per_second: float
    ideal: float | None
    driver_seconds: float | None = None


def rate(times: Sequence[float], *, since: float) -> float:
    """Frames per second between the first and the last time after `since`."""
    counted = [moment for moment in times if moment >= since]
    return (len(counted) - 1) / (counted[-1] - counted[0]) if len(counted) > 1 else 0.0


def measure_clips(executor: Executor, *, videos: int, leave_out: float, seconds: float) -> tuple[float, float]:
    """Frames per second of that many clips at once, and the driver's CPU seconds per frame.

    Counted for `seconds`, `leave_out` seconds after all have begun.
    """
    clips = [Clip() for _ in range(videos)]
    counted_from, cpu = float("inf"), 0.0

    def watch() -> None:
        """Measure beside the executor, which runs in the main thread, and stop it."""
        nonlocal counted_from, cpu
        while not all(clip.delivered_at for clip in clips):
            time.sleep(POLL_SECONDS)
        time.sleep(leave_out)
        counted_from, cpu = time.perf_counter(), -time.process_time()
        time.sleep(seconds)
        cpu += time.process_time()
        executor.stop()

    # Clips have no end, so being stopped is the only end that is right.
    threading.Thread(target=watch, name="watch", daemon=True).start()
    executor.run(iter(clips))
    for clip in clips:
        if not isinstance(clip.error, KeyboardInterrupt):
            raise ExecutorError("a clip ended before its time") from clip.error
    found = sum(rate(clip.delivered_at, since=counted_from) for clip in clips)
    return found, cpu / seconds / found


def measure_sleeping(job: SleepingJob, *, workers: int, videos: Iterable[int], seconds: float) -> Iterator[Speed]:
    """Measure real Ray workers that sleep: one pool for several numbers of videos.

    The engine runs as many videos at once as there are workers, and these have no end: no more have their turn.
    """
    pool = RayPool(job, Cluster(workers=workers, cpus_per_worker=1))
    taken = job.encode_seconds + job.track_seconds
    # Frames that were encoded ahead while the videos began are tracked faster than others can be encoded.
    leave_out = 1 + pool.frames_ahead * taken
    with Executor(pool, call_timeout=CALL_TIMEOUT) as executor:
        for number in videos:
            active = min(number, workers)
            found, cpu = measure_clips(executor, videos=active, leave_out=leave_out, seconds=seconds)
            ideal = min(workers / taken, number / job.track_seconds) if taken else None
            yield Speed(workers, number, found, ideal, cpu)


def measure_lite(video: Path, mask: Path, *, workers: int) -> Speed:
    """Measure real `lite`, decoded by the driver, from the end of the first window until the last frame is decoded."""
    options = {"model": "lite", "executor": "ray", "workers": workers, "threads_per_worker": 1}
    source = open_source(video)
    labels = read_first_masks(mask, size=(source.info.height, source.info.width)).labels
    decoded = False

    def frames() -> Iterator[Frame]:
        nonlocal decoded
        yield from source.frames()
        decoded = True

    # The end is left out: what was encoded ahead is tracked there while nothing is encoded.
    times: list[float] = []
    with open_executor(make_job(make_config(options))) as executor, closing(executor.stream(frames(), labels)) as found:
        for _ in found:
            if decoded:
                break
            times.append(time.perf_counter())
    counted = times[RayPool.frames_ahead * workers :]
    return Speed(workers, 1, rate(counted, since=0), None)


def _result(frame: Frame, labels: Labels) -> FrameResult:
    found = ObjectResult(1, "present", 1.0, similarity=0.5, predicted_iou=0.75, area=labels.size, box=(0, 0, 9, 9))
    return FrameResult(frame.index, frame.pts, frame.time_base, frame.name, labels, (found,))


def print_lite(video: Path, mask: Path) -> None:
    """Print the speed of two workers beside one, on one video."""
    one, two = (measure_lite(video, mask, workers=workers).frames_per_second for workers in (1, 2))
    print(f"lite, one video: {one:.2f} frames/s with 1 worker, {two:.2f} with 2: {two / one:.2f} times", flush=True)


def print_scaling(workers: Iterable[int], videos: Sequence[int], *, seconds: float) -> None:
    """Print what workers that sleep reach of what they could."""
    job = SleepingJob(encode_seconds=0.4, track_seconds=0.02)
    print("encode 400 ms, track 20 ms (asleep)\nworkers  videos  frames/s   ideal   share", flush=True)
    for number in workers:
        for speed in measure_sleeping(job, workers=number, videos=videos, seconds=seconds):
            assert speed.ideal is not None
            share = speed.frames_per_second / speed.ideal
            shown = f"{speed.frames_per_second:8.2f}  {speed.ideal:6.2f}  {share:5.1%}"
            print(f"{speed.workers:7}  {speed.videos:6}  {shown}", flush=True)


def print_overhead(*, seconds: float) -> None:
    """Print what the engine itself takes."""
    print("encode and track 0 ms\nworkers  videos  frames/s  ms a frame  ms of the driver's CPU", flush=True)
    for workers in (1, 2):
        for speed in measure_sleeping(SleepingJob(0, 0), workers=workers, videos=(1, 4), seconds=seconds):
            found = speed.frames_per_second
            assert speed.driver_seconds is not None
            cpu = f"{1000 * speed.driver_seconds:22.2f}"
            print(f"{workers:7}  {speed.videos:6}  {found:8.1f}  {1000 / found:10.2f}  {cpu}", flush=True)


def run(video: Path | None, mask: Path | None, *, parts: Iterable[str], workers: Sequence[int], seconds: float) -> None:
    """Print the parts that are asked for."""
    connect(None, cpus=max(*workers, 2))
    if "lite" in parts and video is not None and mask is not None:
        print_lite(video, mask)
    if "scaling" in parts:
        print_scaling(workers, (1, 64), seconds=seconds)
    if "overhead" in parts:
        print_overhead(seconds=seconds)
