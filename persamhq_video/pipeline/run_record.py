"""The content of run.json: the resolved configuration, the time and memory each stage took, and how the run ended.

`VideoRun` keeps one record per video; `output.record_file` writes it.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final, Literal

from persam_hq.io.process_memory import peak_memory
from persamhq_video.executors import TotalUsage, window_of
from persamhq_video.io import redact_password
from persamhq_video.pipeline.video_plan import VideoPlan

__all__ = ["RunRecord", "Status"]

Status = Literal["running", "complete", "failed", "interrupted"]

# Those whose versions may change a result, or how long it takes
_PACKAGES: Final = (
    "persam-hq-video",
    "torch",
    "ray",
    "av",
    "decord2",
    "numpy",
    "opencv-python-headless",
    "pillow",
)


class RunRecord:
    """Gathers the timings and counts of one video while it is run, and makes the content of run.json of them."""

    def __init__(self, plan: VideoPlan) -> None:
        self._plan = plan
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._began, self._began_at = time.perf_counter(), _now()
        self.committed = 0
        self.totals: Mapping[str, int] = {}
        self.usage: TotalUsage | None = None

    def begin(self) -> None:
        """Start the clock; the time that workers took to start does not count as the video's."""
        self._began, self._began_at = time.perf_counter(), _now()

    @property
    def elapsed(self) -> float:
        """Seconds since the record was begun."""
        return time.perf_counter() - self._began

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time spent inside."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - before

    def content(self, status: Status, *, failure: BaseException | None = None) -> dict[str, Any]:
        """The content of run.json as it is now."""
        # The identity is spread into the record: `RunDirectory.decide` reads it there once the run is complete
        plan = self._plan
        record: dict[str, Any] = {
            "status": status,
            "started": self._began_at,
            "written": _now(),
            **plan.identity,
            "source": self._source(),
            "objects": list(plan.request.first_masks.ids),
            "frames": {"committed": self.committed, "expected": plan.request.source.num_selected},
            "window": dict(window_of(plan.job)),
            "versions": _versions(),
            "seconds": self._timings(),
            "peak_memory_bytes": self._memory(),
            "counts": {**({} if self.usage is None else self.usage.counts), **self.totals},
        }

        # How the inputs were read, where that may surprise
        if plan.request.notes:
            record["notes"] = list(plan.request.notes)

        # Where and why it ended, for a run that failed
        if failure is not None:
            frame = getattr(failure, "frame", self.committed)
            record["failure"] = {"frame": frame, "error": type(failure).__name__, "reason": str(failure)}
        return record

    def _source(self) -> dict[str, Any]:
        info = self._plan.request.source.info
        return {
            "video": redact_password(str(self._plan.request.video)),
            "mask": str(self._plan.request.mask),
            "kind": info.kind,
            "width": info.width,
            "height": info.height,
            "time_base": str(info.time_base),
            "frame_rate": str(info.frame_rate),
            "rotation": info.rotation,
            "is_mirrored": info.is_mirrored,
            "pixel_aspect": str(info.pixel_aspect),
            "start": info.start,
        }

    def _timings(self) -> dict[str, float]:
        """Seconds by stage; encode and track are summed over workers, and stages overlap."""
        stages = {**self._seconds, **({} if self.usage is None else self.usage.seconds)}
        return {"total": round(self.elapsed, 3)} | {k: round(v, 3) for k, v in stages.items()}

    def _memory(self) -> dict[str, Any]:
        return {"driver": peak_memory(), "workers": [] if self.usage is None else list(self.usage.peak_memory)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
