"""Benchmarks: variants of a run and baselines scored on the same sequences, and the tables that compare them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation import (
    Baseline,
    DavisSequence,
    DavisTable,
    Method,
    ScoreRow,
    baseline_method,
    first_mask_copied,
    flow_propagation,
    grabcut_propagation,
    score_method,
)
from persamhq_video.config import RunConfig
from persamhq_video.evaluation.tracker_method import TrackerMethod
from persamhq_video.evaluation.variants import Variant
from persamhq_video.events import Listener
from persamhq_video.executors import open_executor
from persamhq_video.job.prepare import make_job

__all__ = [
    "ScoredMethod",
    "ablation_table",
    "build_baselines",
    "score_baseline",
    "score_variant",
    "side_by_side_table",
]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMethod:
    """The scores of a method, and the frames per second at which it found the masks (scoring not counted)."""

    table: DavisTable
    frames_per_second: float

    @property
    def name(self) -> str:
        """The method's name."""
        return self.table.method

    def on(self, names: Sequence[str]) -> DavisTable:
        """The table of the named sequences alone."""
        return DavisTable.from_scores(self.name, [score for score in self.table.scores if score.name in names])


def score_variant(
    variant: Variant, base: RunConfig, sequences: Sequence[DavisSequence], *, listener: Listener
) -> ScoredMethod:
    """Run a variant of `base` on the sequences, with an executor of its own."""
    job = make_job(variant.config(base))
    with open_executor(job) as executor:
        method = TrackerMethod(executor, job.config, predictions=None, listener=listener)
        return _score(variant.name, method, sequences)


def score_baseline(name: str, baseline: Baseline, sequences: Sequence[DavisSequence]) -> ScoredMethod:
    """Score a baseline on the sequences."""
    return _score(name, baseline_method(baseline), sequences)


def build_baselines(config: RunConfig) -> dict[str, Baseline]:
    """Every baseline by name; the similarity prior uses the model and weights of a resolved configuration."""
    # Imported here because it imports the models, which no other baseline needs.
    from persamhq_video.evaluation.similarity_baseline import similarity_prior_masks

    return {
        "first mask copied": first_mask_copied,
        "optical flow": flow_propagation,
        "GrabCut": grabcut_propagation,
        "similarity prior alone": similarity_prior_masks(config),
    }


def side_by_side_table(scored: Sequence[ScoredMethod], *, unseen: Sequence[str], trained_on: Sequence[str]) -> str:
    """Markdown: one column per method, one row per sequence and one for the mean; those trained on last, marked."""
    lines = _heading(["sequence", *(one.name for one in scored)])
    # Two groups with a mean each: sequences that the weights were trained on prove little.
    for names, mark in ((unseen, ""), (trained_on, " (trained on)")):
        if names:
            tables = [one.on(names) for one in scored]
            lines += _group(tables, mark=mark)
    return "\n".join(lines) + "\n"


def ablation_table(scored: Sequence[ScoredMethod]) -> str:
    """Markdown: one row per variant with its means, and their difference from those of the first one."""
    lines = _heading(["variant", "J&F", "J", "F", "frames/s"])
    full = _figures(scored[0])
    for one in scored:
        figures = _figures(one)
        cells = [f"{figure:.1f}" for figure in figures]
        # Differences in brackets, in all rows but the first
        if one is not scored[0]:
            cells = [
                f"{cell} ({figure - whole:+.1f})" for cell, figure, whole in zip(cells, figures, full, strict=True)
            ]
        lines.append(_line([one.name, *cells]))
    return "\n".join(lines) + "\n"


def _score(name: str, method: Method, sequences: Sequence[DavisSequence]) -> ScoredMethod:
    timed = _TimedMethod(method)
    scores = [score_method(sequence, timed) for sequence in sequences]
    return ScoredMethod(DavisTable.from_scores(name, scores), timed.frames / timed.seconds)


class _TimedMethod:
    """A method with its frames and seconds counted; it finishes each sequence before anything of that is scored."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.frames, self.seconds = 0, 0.0

    def __call__(self, sequence: DavisSequence) -> list[NDArray[np.uint8]]:
        # The list forces a lazy method to finish here, where its time is counted.
        before = time.perf_counter()
        labels = list(self._method(sequence))
        self.seconds += time.perf_counter() - before
        self.frames += len(labels)
        return labels


def _group(tables: Sequence[DavisTable], *, mark: str) -> list[str]:
    """The rows of some sequences and their mean."""
    rows = [[f"{found[0].name}{mark}", *map(_cell, found)] for found in zip(*(t.rows for t in tables), strict=True)]
    return [_line(row) for row in [*rows, [f"**mean{mark}**", *(_cell(table.mean) for table in tables)]]]


def _cell(row: ScoreRow) -> str:
    """J&F, and in brackets J and F, in percent."""
    return f"{100 * row.j_and_f:.1f} ({100 * row.j.mean:.1f}, {100 * row.f.mean:.1f})"


def _figures(scored: ScoredMethod) -> tuple[float, float, float, float]:
    """J&F, J and F in percent, and frames per second."""
    mean = scored.table.mean
    return 100 * mean.j_and_f, 100 * mean.j.mean, 100 * mean.f.mean, scored.frames_per_second


def _heading(cells: Sequence[str]) -> list[str]:
    """The first two lines of a Markdown table."""
    return [_line(cells), "|" + "---|" * len(cells)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
