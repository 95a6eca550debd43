"""Several strategies compared on one video, which is decoded and encoded once: masks, a table, a video and a page.

The stages are modules: `contenders` and `plan` check what was asked for, `shared_tracker` runs all strategies on the
same features, `recorder` writes their results and measures them, `run` ties these together and sums up.
"""

from persamhq_video.compare.contenders import Contender, check_contenders
from persamhq_video.compare.plan import ComparisonPlan, plan_comparison
from persamhq_video.compare.run import run_comparison

__all__ = ["ComparisonPlan", "Contender", "check_contenders", "plan_comparison", "run_comparison"]
