"""The command `persamhq-video evaluate davis`: the DAVIS measures of the tracker, or of label maps on disk."""

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
from persamhq_video.evaluation import TrackerMethod, build_baselines, write_failures
from persamhq_video.events import Listener
from persamhq_video.executors import open_executor
from persamhq_video.job.prepare import make_job

__all__ = ["run"]

_BASELINES: Final = ("first mask copied", "similarity prior alone")
"""The baselines that take no time; `scripts/side_by_side` has all."""


def run(args: argparse.Namespace) -> int:
    """Run the tracker, or read label maps with --score-only; score them, and print and write the tables."""
    # The data set and the folders
    dataset = DavisDataset(args.root)
    sequences = tuple(sequence.name for sequence in dataset.select(names_in(args.sequences)))
    out = None if args.out is None else Path(args.out)
    predictions = _predictions_folder(args, out)

    # Scores
    if args.score_only:
        assert predictions is not None, "checked by _predictions_folder"
        tables = [evaluate_davis(dataset, PredictionFolder(predictions), name=str(predictions), sequences=sequences)]
        confidence: list[ConfidenceRow] = []
    else:
        config = config_of(args)
        _refuse_partial_sequences(config)
        with report_progress(quiet=args.quiet, as_json=args.json) as listener:
            tables, confidence = _run_and_score(config, dataset, sequences, predictions=predictions, listener=listener)

    # Files and output
    if out is not None:
        assert predictions is not None, "OUT/predictions where no other folder is named"
        _write(tables, out, dataset, PredictionFolder(predictions))
        if confidence:
            write_confidence(confidence, out / "confidence.csv")
    if not args.json:
        print(_text(tables, confidence), end="")
    return 0


def _refuse_partial_sequences(config: RunConfig) -> None:
    """A ConfigError for options that leave out frames: sequences are scored whole, from their first annotation."""
    whole = RunConfig()
    for name in ("start", "end", "stride"):
        if (value := getattr(config, name)) != getattr(whole, name):
            raise ConfigError(f"got {name} {value}, but sequences are scored whole; leave it out, use --sequences")


def _write(tables: Sequence[DavisTable], out: Path, dataset: DavisDataset, predictions: PredictionFolder) -> None:
    """Write one CSV file per table, and pictures of the worst frames of the method that was scored first."""
    for table in tables:
        write_csv(table, out / csv_name(table))
    for score in tables[0].scores:
        sequence = dataset.sequence(score.name)
        write_failures(sequence, predictions(sequence), score, out / "worst")


def _text(tables: Sequence[DavisTable], confidence: Sequence[ConfidenceRow]) -> str:
    """Every measure of the first method; then, if the tracker was run, all methods side by side and its confidence."""
    parts = [render_text(tables[:1])]
    if len(tables) > 1:
        parts.append(render_text(tables))
    if confidence:
        parts.append(render_confidence(confidence))
    return "\n".join(parts)


def _predictions_folder(args: argparse.Namespace, out: Path | None) -> Path | None:
    """The folder of the label PNGs, None where they are not kept."""
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
    """The tables of the tracker and of the baselines, and the tracker's confidence."""
    job = make_job(config)
    with open_executor(job) as executor:
        tracker = TrackerMethod(executor, job.config, predictions, listener)
        tracked = evaluate_davis(dataset, tracker, name=f"{config.model} {config.mode}", sequences=sequences)
    baselines = build_baselines(job.config)
    methods = {name: baseline_method(baselines[name]) for name in _BASELINES}
    others = [evaluate_davis(dataset, method, name=name, sequences=sequences) for name, method in methods.items()]
    return [tracked, *others], [tracker.confidence(score) for score in tracked.scores]
