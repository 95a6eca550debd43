"""Who runs the stages: threads of this process, or Ray actors."""

from persamhq_video.executors.base import Executor, TotalUsage, Tracked, Usage
from persamhq_video.executors.choice import open_executor

__all__ = ["Executor", "TotalUsage", "Tracked", "Usage", "open_executor"]
