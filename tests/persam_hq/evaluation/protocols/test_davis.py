"""The evaluation of a method over a data set."""

import time

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.baselines.propagation import first_mask_copied
from persam_hq.evaluation.protocols.davis import DavisTable, baseline_method, evaluate_davis
from persam_hq.evaluation.protocols.davis_dataset import DavisDataset, PredictionFolder
from persam_hq.evaluation.protocols.sequence_score import ObjectScore, SequenceScore, evaluate_sequence


def moving(count, *, value=1, step=1):
    maps = np.zeros((count, 20, 40), np.uint8)
    for index in range(count):
        maps[index, 4:12, 2 + index * step : 10 + index * step] = value
    return list(maps)


def with_second(labels):
    maps = [label.copy() for label in labels]
    for label in maps:
        label[15:18, 30:36] = 2
    return maps


def score(name, *means):
    objects = tuple(
        ObjectScore(object_id=index + 1, region=np.full(4, mean), boundary=np.full(4, mean / 2))
        for index, mean in enumerate(means)
    )
    return SequenceScore(name=name, frame_names=("1", "2", "3", "4"), objects=objects)


def test_rows_and_mean_over_objects():
    table = DavisTable.from_scores("x", [score("one", 0.9), score("three", 0.3, 0.6, 0.6)])
    assert [row.name for row in table.rows] == ["one", "three"]
    assert table.rows[1].j.mean == pytest.approx(0.5)
    # Over objects, not over sequences: that would be 0.7.
    assert table.mean.j.mean == pytest.approx(0.6)
    assert table.mean.f.mean == pytest.approx(0.3)
    assert table.mean.j_and_f == pytest.approx(0.45)
    assert (table.mean.num_objects, table.mean.num_frames) == (4, 8)
    assert table.mean.j.recall == pytest.approx(0.75)


@pytest.mark.parametrize("value", [255, 1])
def test_folder_of_predictions(layout, tmp_path, value):
    layout.add("slow", moving(6, value=value))
    layout.add("fast", moving(6, value=value, step=3))
    for index in range(6):
        layout.write_label(tmp_path / "out/slow" / f"{index:05d}.png", moving(6)[index])
        layout.write_label(tmp_path / "out/fast" / f"{index:05d}.png", moving(6)[0])
    table = evaluate_davis(DavisDataset(layout.root), PredictionFolder(tmp_path / "out"), name="ours")
    assert table.method == "ours"
    assert [row.name for row in table.rows] == ["fast", "slow"]
    assert table.rows[1].j_and_f == 1
    expected = np.mean([(8 - 3 * k) / (8 + 3 * k) if k < 3 else 0 for k in (1, 2, 3, 4)])
    assert table.rows[0].j.mean == pytest.approx(expected, abs=1e-12)


def test_baseline_as_a_method(layout):
    layout.add("a", with_second(moving(6)))
    dataset = DavisDataset(layout.root)
    table = evaluate_davis(dataset, baseline_method(first_mask_copied))
    expected = evaluate_sequence("a", annotations=with_second(moving(6)), predictions=[with_second(moving(1))[0]] * 6)
    assert table.rows[0].num_objects == 2
    assert table.rows[0].j == expected.j
    assert table.rows[0].f == expected.f
    # As one foreground the still object weighs by its area.
    single = evaluate_davis(dataset, baseline_method(first_mask_copied), protocol="2016")
    assert single.rows[0].num_objects == 1
    assert single.rows[0].j.mean != table.rows[0].j.mean


def test_only_the_named_sequences_are_looked_at(layout, tmp_path):
    for name in ("a", "b"):
        layout.add(name, moving(4))
    for index in range(4):
        layout.write_label(tmp_path / "out/b" / f"{index:05d}.png", moving(4)[index])
    table = evaluate_davis(DavisDataset(layout.root), PredictionFolder(tmp_path / "out"), sequences=["b"])
    assert [row.name for row in table.rows] == ["b"]


def test_prediction_of_another_size_is_named(layout, tmp_path):
    layout.add("a", moving(4))
    for index in range(4):
        layout.write_label(tmp_path / "out/a" / f"{index:05d}.png", moving(4)[index][:, : 40 - (index == 2)])
    with pytest.raises(EvaluationError, match="a, frame 00002: the prediction is 39x20, expected 40x20"):
        evaluate_davis(DavisDataset(layout.root), PredictionFolder(tmp_path / "out"))


def test_no_sequence_is_refused():
    with pytest.raises(EvaluationError, match="nothing to average"):
        DavisTable.from_scores("x", [])


def test_a_clip_of_davis_takes_seconds_not_minutes(rng):
    # 90 frames of 854x480 take about a second; the bound leaves room for a busy machine.
    yy, xx = np.mgrid[:480, :854]
    wave = 20 * np.sin(np.arctan2(yy - 240, xx - 427) * 30)
    truth = ((yy - 240) ** 2 + (xx - 427) ** 2 < (170 + wave) ** 2).astype(np.uint8)
    found = truth ^ (rng.random(truth.shape) < 0.001).astype(np.uint8)
    start = time.perf_counter()
    evaluate_sequence("a", annotations=[truth] * 92, predictions=[found] * 92)
    assert time.perf_counter() - start < 10
