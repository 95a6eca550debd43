"""`persamhq-video evaluate davis`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from persam_hq.evaluation import (
    ConfidenceRow,
    DavisDataset,
    DavisTable,
    PredictionFolder,
    baseline_method,
    csv_name,
    evaluate_davis,
    render_confidence,
    render_text,
    write_confidence,
    write_csv,
)
from persamhq_video.cli.options import config_of, names_in
from persamhq_video.cli.progress import report_progress
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError
from persamhq_video.evaluation.benchmark import build_baselines
from persamhq_video.evaluation.failure_sheets import write_failures
from persamhq_video.evaluation.tracker_method import TrackerMethod
from persamhq_video.events import Listener
from persamhq_video.executors import open_executor
from persamhq_video.job.prepare import make_job

__all__ = ["run"]

_BASELINES: Final = ("first mask copied", "similarity prior alone")
"""Quick ones; `scripts/side_by_side` has all."""


def run(args: argparse.Namespace) -> int:
    """Predict where asked to, score, and print the tables."""
    dataset = DavisDataset(args.root)
    sequences = tuple(sequence.name for sequence in dataset.select(names_in(args.sequences)))
    out = None if args.out is None else Path(args.out)
    predictions = _predictions_folder(args, out)

    if args.score_only:
        assert predictions is not None, "checked by _predictions_folder"
        tables = [evaluate_davis(dataset, PredictionFolder(predictions), name=str(predictions), sequences=sequences)]
        confidence: list[ConfidenceRow] = []
    else:
        config = config_of(args)
        _refuse_a_part(config)
        with report_progress(quiet=args.quiet, as_json=args.json) as listener:
            tables, confidence = _run_and_score(config, dataset, sequences, predictions=predictions, listener=listener)
    if out is not None:
        assert predictions is not None, "OUT/predictions where no other folder is named"
        _write(tables, out, dataset, PredictionFolder(predictions))
        if confidence:
            write_confidence(confidence, out / "confidence.csv")
    if not args.json:
        print(_text(tables, confidence), end="")
    return 0


def _refuse_a_part(config: RunConfig) -> None:
    """The measures are those of whole sequences, whose first annotation is the mask."""
    whole = RunConfig()
    for name in ("start", "end", "stride"):
        if (value := getattr(config, name)) != getattr(whole, name):
            raise ConfigError(f"got {name} {value}, but sequences are scored whole; leave it out, use --sequences")


def _write(tables: Sequence[DavisTable], out: Path, dataset: DavisDataset, predictions: PredictionFolder) -> None:
    """A CSV file a table, and pictures of the worst frames of what was scored first."""
    for table in tables:
        write_csv(table, out / csv_name(table))
    for score in tables[0].scores:
        sequence = dataset.sequence(score.name)
        write_failures(sequence, predictions(sequence), score, out / "worst")


def _text(tables: Sequence[DavisTable], confidence: Sequence[ConfidenceRow]) -> str:
    """Every measure of what was scored; below it, where the tracker was run, all side by side and its confidence."""
    parts = [render_text(tables[:1])]
    if len(tables) > 1:
        parts.append(render_text(tables))
    if confidence:
        parts.append(render_confidence(confidence))
    return "\n".join(parts)


def _predictions_folder(args: argparse.Namespace, out: Path | None) -> Path | None:
    if args.predictions is not None:
        return Path(args.predictions)
    if out is not None:
        return out / "predictions"
    if args.score_only:
        raise ConfigError("--score-only reads label PNGs; say where they are with --predictions DIR")
    return None


def _run_and_score(
    config: RunConfig,
    dataset: DavisDataset,
    sequences: tuple[str, ...],
    *,
    predictions: Path | None,
    listener: Listener,
) -> tuple[list[DavisTable], list[ConfidenceRow]]:
    """The tracker's table and those of the baselines, and the tracker's confidence."""
    job = make_job(config)
    with open_executor(job) as executor:
        tracker = TrackerMethod(executor, job.config, predictions, listener)
        tracked = evaluate_davis(dataset, tracker, name=f"{config.model} {config.mode}", sequences=sequences)
    baselines = build_baselines(job.config)
    methods = {name: baseline_method(baselines[name]) for name in _BASELINES}
    others = [evaluate_davis(dataset, method, name=name, sequences=sequences) for name, method in methods.items()]
    return [tracked, *others], [tracker.confidence(score) for score in tracked.scores]
