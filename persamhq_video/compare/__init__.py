"""Several strategies on one video, which is decoded and encoded once: masks, a table, a video and a page."""

from persamhq_video.compare.contenders import Contender, check_contenders
from persamhq_video.compare.plan import ComparisonPlan, plan_comparison
from persamhq_video.compare.run import run_comparison

__all__ = ["ComparisonPlan", "Contender", "check_contenders", "plan_comparison", "run_comparison"]
