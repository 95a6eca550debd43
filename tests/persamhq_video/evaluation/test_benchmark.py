"""Scores of several methods, and their tables."""

import numpy as np
import pytest

from persam_hq.evaluation import (
    DavisDataset,
    DavisTable,
    ObjectScore,
    SequenceScore,
    baseline_method,
    evaluate_davis,
    first_mask_copied,
)
from persamhq_video.config import RunConfig
from persamhq_video.evaluation import (
    ScoredMethod,
    Variant,
    ablation_table,
    score_baseline,
    score_variant,
    side_by_side_table,
)


def scored(name, *, j=0.5, f=0.25, speed=10.0):
    """A method with one J and F on goat, twice as much on camel."""
    scores = []
    for sequence, times in (("goat", 1), ("camel", 2)):
        one = ObjectScore(object_id=1, region=np.full(3, times * j), boundary=np.full(3, times * f))
        scores.append(SequenceScore(name=sequence, frame_names=("1", "2", "3"), objects=(one,)))
    return ScoredMethod(DavisTable.from_scores(name, scores), speed)


def test_a_row_a_sequence_and_a_column_a_method():
    table = side_by_side_table([scored("auto"), scored("flow", j=0.1, f=0.2)], unseen=["goat", "camel"], trained_on=[])
    assert table == (
        "| sequence | auto | flow |\n"
        "|---|---|---|\n"
        "| goat | 37.5 (50.0, 25.0) | 15.0 (10.0, 20.0) |\n"
        "| camel | 75.0 (100.0, 50.0) | 30.0 (20.0, 40.0) |\n"
        "| **mean** | 56.2 (75.0, 37.5) | 22.5 (15.0, 30.0) |\n"
    )


@pytest.mark.parametrize(
    ("unseen", "trained_on", "rows"),
    [
        (["goat"], ["camel"], ["goat", "**mean**", "camel (trained on)", "**mean (trained on)**"]),
        ([], ["camel"], ["camel (trained on)", "**mean (trained on)**"]),
    ],
)
def test_sequences_that_were_trained_on_have_a_mean_of_their_own(unseen, trained_on, rows):
    lines = side_by_side_table([scored("auto")], unseen=unseen, trained_on=trained_on).splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == rows
    assert lines[-1].endswith("75.0 (100.0, 50.0) |")


def test_variants_are_told_by_their_difference_from_the_first():
    assert ablation_table([scored("full"), scored("less", j=0.45, f=0.26, speed=12.5)]) == (
        "| variant | J&F | J | F | frames/s |\n"
        "|---|---|---|---|---|\n"
        "| full | 56.2 | 75.0 | 37.5 | 10.0 |\n"
        "| less | 53.2 (-3.0) | 67.5 (-7.5) | 39.0 (+1.5) | 12.5 (+2.5) |\n"
    )


def test_a_baseline_scores_what_the_evaluation_says(davis):
    dataset = DavisDataset(davis)
    found = score_baseline("copied", first_mask_copied, list(dataset))
    expected = evaluate_davis(dataset, baseline_method(first_mask_copied), name="copied")
    assert found.name == "copied"
    assert (found.table.rows, found.table.mean) == (expected.rows, expected.mean)
    assert [row.name for row in found.on(["goat"]).rows] == ["goat"]


@pytest.mark.usefixtures("stand_in")
def test_a_variant_is_run_with_its_own_options(davis):
    sequences = list(DavisDataset(davis))
    events = []
    # What the stand-in finds depends on the strategies
    tables = [
        score_variant(variant, RunConfig(executor="inline"), sequences, listener=events.append).table
        for variant in (Variant("as it is", {}), Variant("same", {"stride": 1}), Variant("bare", {"refine": []}))
    ]
    assert [table.method for table in tables] == ["as it is", "same", "bare"]
    assert tables[0].rows == tables[1].rows
    assert tables[0].rows != tables[2].rows
    assert [event.event for event in events].count("complete") == 6
