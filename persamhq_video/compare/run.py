"""A comparison from its plan to its files: track with every strategy, score against annotations, write the reports."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from persam_hq.evaluation import SequenceScore
from persamhq_video.compare.annotations import score_masks
from persamhq_video.compare.folder import PAGE, TABLE
from persamhq_video.compare.html_report import Chart, Page, render_page
from persamhq_video.compare.plan import ComparisonPlan
from persamhq_video.compare.recorder import Recorder, recording
from persamhq_video.compare.shared_tracker import CombinedResult
from persamhq_video.compare.svg_charts import Curve
from persamhq_video.compare.table import ComparisonTable, Row
from persamhq_video.compare.tile_grid import COLOURS
from persamhq_video.events import Listener, ProgressMeter
from persamhq_video.executors import TotalUsage, open_executor
from persamhq_video.io import atomic_write

__all__ = ["run_comparison"]

_MILLISECONDS = 1000.0


def run_comparison(plan: ComparisonPlan, *, command: str, listener: Listener) -> ComparisonTable:
    """Run all strategies and write everything into the plan's folder; `command` is shown on the page.

    After an error or an interrupt nothing is left.
    """
    names = [contender.name for contender in plan.contenders]
    first = plan.request.first_masks.labels
    with plan.folder.open() as folder:
        # Masks, scores and the video, while frames come
        info = plan.request.source.info
        config = plan.job.config
        recorder = Recorder(
            folder,
            names,
            info=info,
            first=first,
            annotations=plan.annotations,
            source_frame=lambda index: config.start + index * config.stride,
        )
        with recording(recorder):
            usage = _track(plan, recorder, listener)

        # The table, the page and the record, from all frames
        scores = _scores(plan, recorder, folder)
        table = _table(plan, recorder, scores, usage)
        atomic_write(folder / TABLE, table.csv().encode())
        atomic_write(folder / PAGE, render_page(_page(plan, recorder, scores, table, command)).encode())
        plan.folder.write_record(_record(plan, recorder, usage, command))
    return table


def _track(plan: ComparisonPlan, recorder: Recorder, listener: Listener) -> TotalUsage:
    """Take every frame through every strategy, in order; the time and memory that the workers used."""
    source, pace = plan.request.source, ProgressMeter(str(plan.request.video), plan.request.source.num_selected)
    with open_executor(plan.job) as executor:
        listener(pace.event("started", 0))
        # An error in the recorder has to stop the workers' stream as well, which `closing` does.
        with closing(executor.stream(source.frames(), plan.request.first_masks.labels)) as stream:
            for tracked in stream:
                assert isinstance(tracked.result, CombinedResult)
                recorder.add(tracked.frame, tracked.result)
                listener(pace.event("frame", tracked.frame.index + 1))
        usage = executor.usage()
    listener(pace.event("complete", len(recorder.frame_names)))
    return usage


def _scores(plan: ComparisonPlan, recorder: Recorder, folder: Path) -> list[SequenceScore | None]:
    """J and F of each strategy, read from the masks on disk; None without annotations."""
    truth = plan.annotations
    if truth is None:
        return [None] * len(plan.contenders)

    def score(name: str) -> SequenceScore | None:
        first = plan.request.first_masks.labels
        return score_masks(truth, names=recorder.frame_names, first=first, masks=folder / name / "masks")

    # Scoring is OpenCV and NumPy, which release the lock of the interpreter: threads are enough.
    with ThreadPoolExecutor() as threads:
        return list(threads.map(score, [contender.name for contender in plan.contenders]))


def _table(
    plan: ComparisonPlan, recorder: Recorder, scores: Sequence[SequenceScore | None], usage: TotalUsage
) -> ComparisonTable:
    # The first frame is encoded as well, but when tracking begins; its time is not part of the stage "encode".
    frames = max(1, len(recorder.frame_names) - 1)
    rows = [_row(plan, recorder, scores[number], number) for number in range(len(plan.contenders))]
    return ComparisonTable(tuple(rows), encode_ms=_MILLISECONDS * usage.seconds.get("encode", 0.0) / frames)


def _row(plan: ComparisonPlan, recorder: Recorder, score: SequenceScore | None, number: int) -> Row:
    """The row of one strategy by its number: means over all frames."""
    contender, metrics, others = plan.contenders[number], recorder.metrics[number], range(len(plan.contenders))
    return Row(
        name=contender.name,
        spec=contender.spec,
        j=None if score is None else score.j.mean,
        f=None if score is None else score.f.mean,
        agreement=tuple(None if o == number else _mean(recorder.agreement.between(number, o)) for o in others),
        stability=_mean(metrics.stability),
        score=_mean(metrics.scores),
        absent=metrics.share("absent"),
        uncertain=metrics.share("uncertain"),
        track_ms=_MILLISECONDS * _mean(metrics.seconds),
    )


def _page(
    plan: ComparisonPlan,
    recorder: Recorder,
    scores: Sequence[SequenceScore | None],
    table: ComparisonTable,
    command: str,
) -> Page:
    """The content of the page."""
    info, config, count = plan.request.source.info, plan.job.config, len(recorder.frame_names)
    objects = len(plan.request.first_masks.ids)
    return Page(
        title=f"Strategies compared on {Path(plan.request.video).name}",
        facts=(
            f"{count} frames of {info.width}x{info.height}",
            f"{objects} {'object' if objects == 1 else 'objects'}",
            f"model {config.model}, {config.device}, {config.dtype}",
        ),
        command=command,
        table=table,
        charts=_charts(recorder, scores),
        last=count - 1,
        disagreements=tuple(recorder.disagreements.worst()),
        is_annotated=plan.annotations is not None,
        poster=recorder.poster,
    )


def _charts(recorder: Recorder, scores: Sequence[SequenceScore | None]) -> tuple[Chart, ...]:
    """Charts over time: agreement, score and area, and above them J where there are annotations."""
    agreement = [recorder.agreement.of(number) for number in range(len(recorder.metrics))]
    scored = [metrics.scores for metrics in recorder.metrics]
    areas = [metrics.areas for metrics in recorder.metrics]
    charts = [
        Chart("Agreement: mean IoU with the other strategies, %", _curves(agreement)),
        Chart("Score, %", _curves(scored)),
        Chart("Area: share of the picture that the masks cover, %", _curves(areas), from_zero=True),
    ]
    truth = [_truth_curve(number, score, recorder.frame_names) for number, score in enumerate(scores) if score]
    return (Chart("J: IoU with the annotation, %", tuple(truth)), *charts) if truth else tuple(charts)


def _curves(values: Sequence[Sequence[float]]) -> tuple[Curve, ...]:
    """One curve per strategy, from values in 0-1 of every frame after the first."""
    return tuple(
        Curve(_colour(number), range(1, len(own) + 1), [100 * value for value in own])
        for number, own in enumerate(values)
    )


def _truth_curve(number: int, score: SequenceScore, frame_names: Sequence[str]) -> Curve:
    """J of one strategy on the annotated frames, mean over objects."""
    places = {name: index for index, name in enumerate(frame_names)}
    regions = np.mean([entry.region for entry in score.objects], axis=0)
    return Curve(_colour(number), [places[name] for name in score.frame_names], [100 * float(j) for j in regions])


def _record(plan: ComparisonPlan, recorder: Recorder, usage: TotalUsage, command: str) -> dict[str, object]:
    """The content of compare.json: everything that is needed to run the comparison again."""
    # The configurations of the strategies are their own; these two are set for all of them together.
    shared = {"workers": plan.job.config.workers, "keep_interm": plan.job.config.keep_interm}
    return {
        "status": "complete",
        "command": command,
        "video": str(plan.request.video),
        "mask": str(plan.request.mask),
        "strategies": {
            part.name: job.config.model_dump(mode="json")
            for part, job in zip(plan.contenders, plan.job.parts, strict=True)
        },
        "shared": shared,
        "fingerprint": plan.job.fingerprint.model_dump(mode="json"),
        "frames": len(recorder.frame_names),
        "seconds": {stage: round(seconds, 3) for stage, seconds in usage.seconds.items()},
        "counts": dict(usage.counts),
    }


def _colour(number: int) -> str:
    """The colour of a strategy by its number, on the page as in the video."""
    return COLOURS[number % len(COLOURS)]


def _mean(values: Sequence[float]) -> float:
    # A video of one frame has no values at all.
    return float(np.mean(values)) if values else float("nan")
