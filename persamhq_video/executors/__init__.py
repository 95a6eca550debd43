"""Executors run the stages encode and track for many videos: in threads of this process, or in Ray actors."""

from persamhq_video.executors.client import CallKind, Client, Continuation
from persamhq_video.executors.executor import Executor
from persamhq_video.executors.factory import open_executor, window_of
from persamhq_video.executors.usage import TotalUsage, Tracked, Usage

__all__ = [
    "CallKind",
    "Client",
    "Continuation",
    "Executor",
    "TotalUsage",
    "Tracked",
    "Usage",
    "open_executor",
    "window_of",
]
