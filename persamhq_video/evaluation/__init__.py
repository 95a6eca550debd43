"""Evaluation on annotated videos: the tracker, variants of its options and baselines, scored by the DAVIS measures.

`tracker_method` runs the tracker on a sequence, `benchmark` scores it, its variants and baselines and makes tables of
them, `failure_sheets` shows the worst frames. The command `evaluate`, `scripts/side_by_side` and `scripts/ablation`
use them.
"""

from persamhq_video.evaluation.benchmark import (
    ScoredMethod,
    ablation_table,
    build_baselines,
    score_baseline,
    score_variant,
    side_by_side_table,
)
from persamhq_video.evaluation.failure_sheets import write_failures
from persamhq_video.evaluation.tracker_method import TrackerMethod
from persamhq_video.evaluation.variants import ABLATIONS, SIDE_BY_SIDE, Variant, parse_variant

# `similarity_baseline` is left out: it imports the models, which most users of this package do without.
__all__ = [
    "ABLATIONS",
    "SIDE_BY_SIDE",
    "ScoredMethod",
    "TrackerMethod",
    "Variant",
    "ablation_table",
    "build_baselines",
    "parse_variant",
    "score_baseline",
    "score_variant",
    "side_by_side_table",
    "write_failures",
]
