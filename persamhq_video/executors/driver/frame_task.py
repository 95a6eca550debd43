"""One frame between decoding and delivery, as the scheduler moves it along."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from persamhq_video.executors.client import Stage
from persamhq_video.executors.workers.worker_pool import Call
from persamhq_video.types import Frame, FrameResult

if TYPE_CHECKING:
    from persamhq_video.executors.driver.video_in_flight import Follow
    from persamhq_video.executors.driver.worker_slot import Desk


@dataclass(slots=True, eq=False)
class Item:
    """A frame between decoding and delivery.

    desk: where it is, None before it is placed; call: what a worker was asked about it, and has not answered; stage:
    what that was; coming: the state that the call under way gives; deaths: workers that died of it, perhaps, by stage,
    until that stage has gone well.
    """

    video: Follow
    frame: Frame
    desk: Desk | None = None
    call: Call | None = None
    kept: bool = False
    stage: Stage = "encode"
    coming: Any = None
    result: FrameResult | None = None
    error: BaseException | None = None
    deaths: Counter[Stage] = field(default_factory=Counter)

    @property
    def index(self) -> int:
        """Of the frame."""
        return self.frame.index

    @property
    def suspect(self) -> bool:
        """Whether a worker has died of it, perhaps."""
        return bool(self.deaths)

    @property
    def is_trackable(self) -> bool:
        """Whether it is encoded and waits."""
        return self.kept and self.call is None and self.result is None and self.error is None

    def reset(self) -> None:
        """As if it had just been decoded."""
        self.desk, self.call, self.kept, self.coming = None, None, False, None
