"""The DAVIS evaluation of a method: J and F of each sequence, and their mean over all objects."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from persam_hq.evaluation.baselines.propagation import Baseline
from persam_hq.evaluation.label_maps import LabelMap
from persam_hq.evaluation.metrics.statistics import MeasureSummary, average
from persam_hq.evaluation.protocols.davis_dataset import DavisDataset, DavisSequence
from persam_hq.evaluation.protocols.sequence_score import Protocol, SequenceScore, evaluate_sequence

Method = Callable[[DavisSequence], Iterable[LabelMap]]
"""From a sequence to label maps (H, W) uint8 of all its frames; a `PredictionFolder` is one."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Scores of one sequence, or their mean over all objects."""

    name: str
    num_objects: int
    num_frames: int
    j: MeasureSummary
    f: MeasureSummary

    @property
    def j_and_f(self) -> float:
        """Mean of the means of J and F."""
        return (self.j.mean + self.f.mean) / 2


@dataclass(frozen=True, slots=True, eq=False)
class DavisTable:
    """The scores of one method: one row per sequence, their mean, and the scores of all objects."""

    method: str
    rows: tuple[ScoreRow, ...]
    mean: ScoreRow
    scores: tuple[SequenceScore, ...]

    @classmethod
    def from_scores(cls, method: str, scores: Sequence[SequenceScore]) -> "DavisTable":
        """The table of scored sequences. The mean is over all objects, whatever sequence they are in.

        With one object per sequence (DAVIS 2016) that is the mean over sequences.
        """
        rows = tuple(_row(score.name, [score]) for score in scores)
        return cls(method=method, rows=rows, mean=_row("mean", scores), scores=tuple(scores))


def evaluate_davis(
    dataset: DavisDataset,
    method: Method,
    *,
    name: str = "predictions",
    sequences: Iterable[str] | None = None,
    protocol: Protocol = "auto",
) -> DavisTable:
    """Score a method on the named sequences of a data set, or on all of them."""
    selected = dataset.select(sequences)
    scores = [score_method(sequence, method, protocol=protocol) for sequence in selected]
    return DavisTable.from_scores(name, scores)


def score_method(sequence: DavisSequence, method: Method, *, protocol: Protocol = "auto") -> SequenceScore:
    """Score a method on one sequence."""
    return evaluate_sequence(
        sequence.name,
        annotations=sequence.annotations(),
        predictions=method(sequence),
        frame_names=sequence.frame_names,
        protocol=protocol,
    )


def baseline_method(baseline: Baseline) -> Method:
    """A baseline as a method: it gets the frames and the annotation of the first one."""
    return lambda sequence: baseline(sequence.frames(), sequence.first_mask())


def _row(name: str, scores: Sequence[SequenceScore]) -> ScoreRow:
    """The mean over all objects of some sequences."""
    objects = [score for sequence in scores for score in sequence.objects]
    return ScoreRow(
        name=name,
        num_objects=len(objects),
        num_frames=sum(len(sequence.frame_names) for sequence in scores),
        j=average([score.j for score in objects]),
        f=average([score.f for score in objects]),
    )
