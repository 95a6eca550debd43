"""Scoring of masks: the DAVIS measures and protocol, mIoU and Boundary IoU, and baselines to beat."""

from persam_hq.evaluation.baselines import Baseline, first_mask_copied, flow_propagation
from persam_hq.evaluation.boundary import boundary_measure
from persam_hq.evaluation.colour_models import grabcut_propagation
from persam_hq.evaluation.confidence import ConfidenceRow, compare_confidence, mean_confidence
from persam_hq.evaluation.confidence_table import render_confidence, write_confidence
from persam_hq.evaluation.davis import (
    DavisTable,
    Method,
    ScoreRow,
    baseline_method,
    evaluate_davis,
    score_method,
)
from persam_hq.evaluation.davis_layout import DavisDataset, DavisSequence, PredictionFolder
from persam_hq.evaluation.errors import EvaluationError
from persam_hq.evaluation.label_maps import read_label_map
from persam_hq.evaluation.measure import MeasureSummary, summarize
from persam_hq.evaluation.overlap import boundary_iou, mean_boundary_iou, mean_iou, pooled_iou
from persam_hq.evaluation.region import region_similarity
from persam_hq.evaluation.score_table import csv_name, render_text, write_csv
from persam_hq.evaluation.sequence_score import ObjectScore, SequenceScore, evaluate_sequence

__all__ = [
    "Baseline",
    "ConfidenceRow",
    "DavisDataset",
    "DavisSequence",
    "DavisTable",
    "EvaluationError",
    "MeasureSummary",
    "Method",
    "ObjectScore",
    "PredictionFolder",
    "ScoreRow",
    "SequenceScore",
    "baseline_method",
    "boundary_iou",
    "boundary_measure",
    "compare_confidence",
    "csv_name",
    "evaluate_davis",
    "evaluate_sequence",
    "first_mask_copied",
    "flow_propagation",
    "grabcut_propagation",
    "mean_boundary_iou",
    "mean_confidence",
    "mean_iou",
    "pooled_iou",
    "read_label_map",
    "region_similarity",
    "render_confidence",
    "render_text",
    "score_method",
    "summarize",
    "write_confidence",
    "write_csv",
]
