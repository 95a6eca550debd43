"""A frame on its way from decoding to delivery: the unit of work that the scheduler places, tracks and repeats if lost.

The task names its video and its worker by number, so that it knows neither of them; whoever needs them looks them up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from persamhq_video.executors.client import CallKind
from persamhq_video.executors.workers.worker_pool import Call
from persamhq_video.types import Frame, FrameResult

__all__ = ["FrameTask"]


@dataclass(slots=True, eq=False)
class FrameTask:
    """A decoded frame whose result is not delivered yet; `is_encoded` once its worker has the features.

    video, worker: their numbers; the worker is None until the frame is placed.
    call, call_kind: the call under way about this frame, None between calls, and the kind of the last one.
    next_state: the state that the `track` under way gives.
    deaths: how often a worker died or hung during a call of each kind; a kind that succeeds is cleared.
    hangs_in: what the worker that hung last on it was busy with, as far as that is known.
    """

    video: int
    frame: Frame
    worker: int | None = None
    call: Call | None = None
    call_kind: CallKind = "encode"
    is_encoded: bool = False
    next_state: Any = None
    result: FrameResult | None = None
    error: BaseException | None = None
    deaths: Counter[CallKind] = field(default_factory=Counter)
    hangs_in: str | None = None

    @property
    def index(self) -> int:
        """The frame's index in output order."""
        return self.frame.index

    @property
    def suspect(self) -> bool:
        """Whether a worker died or hung while it worked on this frame, so that the frame may be at fault."""
        return bool(self.deaths)

    @property
    def is_trackable(self) -> bool:
        """Whether the frame is encoded and nothing is under way about it."""
        return self.is_encoded and self.call is None and self.result is None and self.error is None

    def reset(self) -> None:
        """Back to just decoded, after its worker was lost."""
        self.worker, self.call, self.is_encoded, self.next_state = None, None, False, None
