"""Who runs the stages: threads of this process, or Ray actors."""

from persamhq_video.executors.client import Client, Continuation, Stage
from persamhq_video.executors.executor import Executor
from persamhq_video.executors.factory import open_executor, window_of
from persamhq_video.executors.usage import TotalUsage, Tracked, Usage

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
