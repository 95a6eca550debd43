"""Evaluation of masks: DAVIS measures and protocol, IoU and Boundary IoU of images, and baselines to compare with."""

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.baselines.grabcut import grabcut_propagation
from persam_hq.evaluation.baselines.propagation import Baseline, first_mask_copied, flow_propagation
from persam_hq.evaluation.label_maps import read_label_map
from persam_hq.evaluation.metrics.boundary import boundary_measure
from persam_hq.evaluation.metrics.confidence import ConfidenceRow, compare_confidence, mean_confidence
from persam_hq.evaluation.metrics.overlap import boundary_iou, mean_boundary_iou, mean_image_iou, pooled_iou
from persam_hq.evaluation.metrics.region import region_similarity
from persam_hq.evaluation.metrics.statistics import MeasureSummary, summarize
from persam_hq.evaluation.protocols.davis import (
    DavisTable,
    Method,
    ScoreRow,
    baseline_method,
    evaluate_davis,
    score_method,
)
from persam_hq.evaluation.protocols.davis_dataset import DavisDataset, DavisSequence, PredictionFolder
from persam_hq.evaluation.protocols.sequence_score import ObjectScore, SequenceScore, evaluate_sequence
from persam_hq.evaluation.tables import csv_name, render_confidence, render_text, write_confidence, write_csv

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
    "mean_image_iou",
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
