"""Who runs the stages: threads of this process, or Ray actors."""

from persamhq_video.executors.base import TotalUsage, Tracked, Usage
from persamhq_video.executors.choice import open_executor, window_of
from persamhq_video.executors.client import Client, Continuation, Stage
from persamhq_video.executors.executor import Executor

__all__ = [
    "Client",
    "Continuation",
    "Executor",
    "Stage",
    "TotalUsage",
    "Tracked",
    "Usage",
    "open_executor",
    "window_of",
]
