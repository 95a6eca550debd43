"""`persamhq-video evaluate davis`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation import (
    Baseline,
    DavisDataset,
    DavisSequence,
    DavisTable,
    PredictionFolder,
    baseline_method,
    evaluate_davis,
    first_mask_copied,
    render_text,
    write_csv,
)
from persamhq_video.cli.options import config_of
from persamhq_video.cli.progress import report_progress
from persamhq_video.config import RunConfig
from persamhq_video.errors import ConfigError
from persamhq_video.events import Listener, Pace
from persamhq_video.executors import Executor, open_executor
from persamhq_video.io import open_source, write_label_png
from persamhq_video.plan import make_job

__all__ = ["run"]

_VOID: Final = 255
_BASELINES_MODULE: Final = "persamhq_video.baselines"


def run(args: argparse.Namespace) -> int:
    """Predict where asked to, score, and print the table."""
    dataset = DavisDataset(args.root)
    names = None if args.sequences is None else [name.strip() for name in args.sequences.split(",") if name.strip()]
    sequences = tuple(sequence.name for sequence in dataset.select(names))
    out = None if args.out is None else Path(args.out)
    predictions = _predictions_folder(args, out)

    if args.score_only:
        assert predictions is not None, "checked by _predictions_folder"
        tables = [evaluate_davis(dataset, PredictionFolder(predictions), name=str(predictions), sequences=sequences)]
    else:
        config = config_of(args)
        with report_progress(quiet=args.quiet, as_json=args.json) as listener:
            tables = _run_and_score(config, dataset, sequences, predictions=predictions, listener=listener)
    if out is not None:
        for table in tables:
            write_csv(table, out / f"{table.method.replace(' ', '-').replace('/', '_')}.csv")
    if not args.json:
        print(_text(tables), end="")
    return 0


def _text(tables: Sequence[DavisTable]) -> str:
    """Every measure of what was scored; below it, where there are baselines, all side by side."""
    return "\n".join([render_text(tables[:1]), *([render_text(tables)] if len(tables) > 1 else [])])


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
) -> list[DavisTable]:
    """The tracker's table and those of the baselines."""
    job = make_job(config)
    with open_executor(job) as executor:
        method = TrackerMethod(executor, job.config, predictions, listener)
        tables = [evaluate_davis(dataset, method, name=f"{config.model} {config.mode}", sequences=sequences)]
    for name, baseline in _baselines(job.config).items():
        tables.append(evaluate_davis(dataset, baseline_method(baseline), name=name, sequences=sequences))
    return tables


def _baselines(config: RunConfig) -> dict[str, Baseline]:
    prior = importlib.import_module(_BASELINES_MODULE).similarity_prior_masks(config)
    return {"first mask copied": first_mask_copied, "similarity prior alone": cast("Baseline", prior)}


@dataclass(frozen=True, slots=True, eq=False)
class TrackerMethod:
    """The tracker as something to score; every label map is written where predictions are wanted."""

    executor: Executor
    config: RunConfig
    predictions: Path | None
    listener: Listener

    def __call__(self, sequence: DavisSequence) -> Iterator[NDArray[np.uint8]]:
        """The label map of every frame, first one included."""
        source = open_source(sequence.frame_paths[0].parent, reader=self.config.reader)
        pace = Pace(sequence.name, len(sequence))
        self.listener(pace.event("started", 0))
        with closing(self.executor.stream(source.frames(), _objects(sequence.first_mask()))) as stream:
            for count, tracked in enumerate(stream, start=1):
                if self.predictions is not None:
                    path = self.predictions / sequence.name / f"{tracked.frame.name}.png"
                    write_label_png(path, tracked.result.labels)
                self.listener(pace.event("frame", count))
                yield tracked.result.labels
        self.listener(pace.event("complete", len(sequence)))


def _objects(first_mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The objects to follow: a single value is object 1; among several, 255 marks what is not annotated."""
    values = np.unique(first_mask[first_mask > 0])
    if len(values) == 1:
        return (first_mask > 0).astype(np.uint8)
    return np.where(first_mask == _VOID, np.uint8(0), first_mask)
