"""The score of one clip."""

import numpy as np
import pytest

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.protocols.sequence_score import ObjectScore, SequenceScore, evaluate_sequence


def clip(count, *, value=1, step=1, height=20, width=30):
    """A square of 8 that moves to the right."""
    maps = np.zeros((count, height, width), np.uint8)
    for index in range(count):
        maps[index, 5:13, 3 + index * step : 11 + index * step] = value
    return list(maps)


def noisy_clip(rng, draw_blobs, count):
    """Labels 0-2 in random blobs; both ids are in the first."""
    maps = []
    for _ in range(count):
        label = draw_blobs(rng, height=18, width=22)
        label[draw_blobs(rng, height=18, width=22) > 0] = 2
        label[0, :2] = 1, 2
        maps.append(label)
    return maps


def test_perfect():
    score = evaluate_sequence("a", annotations=clip(6), predictions=clip(6))
    assert (score.j.mean, score.j.recall, score.j.decay) == (1, 1, 0)
    assert (score.f.mean, score.j_and_f) == (1, 1)


def test_first_and_last_frame_are_not_scored():
    wrong = clip(6)
    wrong[0], wrong[-1] = np.zeros_like(wrong[0]), np.zeros_like(wrong[0])
    score = evaluate_sequence("a", annotations=clip(6), predictions=wrong)
    assert score.j_and_f == 1
    assert score.frame_names == ("00001", "00002", "00003", "00004")


def test_frames_in_between_are_scored_in_order():
    # A prediction left behind by one pixel more each frame: 8 columns of which 8 - k overlap.
    score = evaluate_sequence("a", annotations=clip(6), predictions=[clip(1)[0]] * 6)
    expected = [(8 - k) / (8 + k) for k in (1, 2, 3, 4)]
    assert score.objects[0].region.tolist() == pytest.approx(expected, abs=1e-12)


def test_2016_against_the_oracles(rng, draw_blobs, slow_region, slow_boundary):
    truth, found = noisy_clip(rng, draw_blobs, 6), noisy_clip(rng, draw_blobs, 6)
    score = evaluate_sequence("a", annotations=truth, predictions=found, protocol="2016")
    assert [one.object_id for one in score.objects] == [1]
    pairs = list(zip(truth, found, strict=True))[1:-1]
    assert score.objects[0].region.tolist() == pytest.approx([slow_region(*pair) for pair in pairs], abs=1e-12)
    assert score.objects[0].boundary.tolist() == pytest.approx([slow_boundary(*pair) for pair in pairs], abs=1e-12)


@pytest.mark.parametrize("protocol", ["2017", "auto"])
def test_2017_against_the_oracles(rng, draw_blobs, slow_region, slow_boundary, protocol):
    truth, found = noisy_clip(rng, draw_blobs, 6), noisy_clip(rng, draw_blobs, 6)
    score = evaluate_sequence("a", annotations=truth, predictions=found, protocol=protocol)
    assert [one.object_id for one in score.objects] == [1, 2]
    means = []
    for one in score.objects:
        pairs = [(a == one.object_id, b == one.object_id) for a, b in list(zip(truth, found, strict=True))[1:-1]]
        assert one.region.tolist() == pytest.approx([slow_region(*pair) for pair in pairs], abs=1e-12)
        assert one.boundary.tolist() == pytest.approx([slow_boundary(*pair) for pair in pairs], abs=1e-12)
        means.append(np.mean([slow_region(*pair) for pair in pairs]))
    assert score.j.mean == pytest.approx(np.mean(means), abs=1e-12)


def test_objects_count_alike_whatever_their_size():
    truth = clip(5, step=0)
    for label in truth:
        label[15:17, 2:4] = 2
    without_second = [np.where(label == 2, 0, label) for label in truth]
    score = evaluate_sequence("a", annotations=truth, predictions=without_second)
    assert score.j.mean == 0.5
    assert evaluate_sequence("a", annotations=truth, predictions=without_second, protocol="2016").j.mean > 0.9


@pytest.mark.parametrize("value", [1, 255, 4])
def test_a_mask_of_0_and_255_is_one_object_for_any_prediction(value):
    predictions = clip(5, value=value)
    assert evaluate_sequence("a", annotations=clip(5, value=255), predictions=predictions).j_and_f == 1


def test_object_that_leaves_counts_as_found_where_nothing_is_predicted():
    truth = clip(8)
    for label in truth[4:]:
        label[:] = 0
    gone = evaluate_sequence("a", annotations=truth, predictions=truth)
    kept = evaluate_sequence("a", annotations=truth, predictions=clip(8))
    assert gone.j_and_f == 1
    assert kept.objects[0].region.tolist() == [1, 1, 1, 0, 0, 0]
    assert kept.objects[0].boundary.tolist() == [1, 1, 1, 0, 0, 0]


def test_objects_that_come_later_are_background():
    truth, plain = clip(5), clip(5)
    truth[2][0, 0:4] = 3
    assert evaluate_sequence("a", annotations=truth, predictions=plain).j_and_f == 1


def test_void_among_objects_is_background():
    truth, plain = clip(5), clip(5)
    for label in truth:
        label[0, 0:4] = 255
    assert evaluate_sequence("a", annotations=truth, predictions=plain).j_and_f == 1


def test_clip_longer_than_255_frames():
    truth = clip(1, height=8, width=12)[0]
    count, bad = 402, np.zeros_like(truth)
    predictions = [truth] * 301 + [bad] * 101
    score = evaluate_sequence("a", annotations=[truth] * count, predictions=predictions)
    # 400 scored frames, the last 100 of them wrong; the last bin starts at frame 299 (of 0-399), which is right.
    assert score.j.mean == 0.75
    assert score.j.decay == pytest.approx(1 - 1 / 101, abs=1e-12)
    assert score.f.recall == 0.75


def test_iterators_are_read_once_and_arguments_left_alone():
    truth = clip(5)
    before = [label.copy() for label in truth]
    score = evaluate_sequence("a", annotations=iter(truth), predictions=(label for label in truth))
    assert score.j_and_f == 1
    np.testing.assert_array_equal(truth, before)


def test_frames_keep_their_names():
    names = ["f10", "f11", "f12", "f13"]
    score = evaluate_sequence("a", annotations=clip(4), predictions=clip(4), frame_names=names)
    assert score.frame_names == ("f11", "f12")


def test_too_few_predictions():
    with pytest.raises(EvaluationError, match="a has no prediction for frame 00004"):
        evaluate_sequence("a", annotations=clip(6), predictions=clip(4))


def test_too_many_predictions():
    with pytest.raises(EvaluationError, match="a has no annotation for frame 00006"):
        evaluate_sequence("a", annotations=clip(6), predictions=clip(7))


@pytest.mark.parametrize("index", [0, 2, 4])
def test_prediction_of_another_size(index):
    predictions = clip(5)
    predictions[index] = np.zeros((20, 29), np.uint8)
    with pytest.raises(EvaluationError, match=f"a, frame 0000{index}: the prediction is 29x20, expected 30x20"):
        evaluate_sequence("a", annotations=clip(5), predictions=predictions)


def test_prediction_with_an_id_that_is_not_annotated():
    predictions = clip(5)
    predictions[2][0, 0] = 3
    with pytest.raises(EvaluationError, match=r"frame 00002: the prediction holds id 3, expected 0 and .* 1;"):
        evaluate_sequence("a", annotations=clip(5), predictions=predictions)


@pytest.mark.parametrize("protocol", ["auto", "2016", "2017"])
def test_nothing_annotated(protocol):
    empty = [np.zeros((4, 4), np.uint8)] * 4
    with pytest.raises(EvaluationError, match="a: the first annotation has no object"):
        evaluate_sequence("a", annotations=empty, predictions=empty, protocol=protocol)


def test_mask_of_0_and_255_scored_as_2017():
    with pytest.raises(EvaluationError, match="protocol of 2016"):
        evaluate_sequence("a", annotations=clip(4, value=255), predictions=clip(4), protocol="2017")


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_left_to_score(count):
    with pytest.raises(EvaluationError, match="a has too few frames: expected at least 3"):
        evaluate_sequence("a", annotations=clip(count), predictions=clip(count))


def test_no_frames():
    with pytest.raises(EvaluationError, match="no object"):
        evaluate_sequence("a", annotations=[], predictions=[])


def test_three_frames_are_enough():
    assert len(evaluate_sequence("a", annotations=clip(3), predictions=clip(3)).objects[0].region) == 1


def test_values_are_checked_where_they_are_made():
    with pytest.raises(EvaluationError, match="one value a frame"):
        ObjectScore(object_id=1, region=np.zeros(3), boundary=np.zeros(2))
    one = ObjectScore(object_id=1, region=np.zeros(3), boundary=np.zeros(3))
    with pytest.raises(EvaluationError, match=r"\[3\] values for 2 scored frames"):
        SequenceScore(name="a", frame_names=("1", "2"), objects=(one,))
    with pytest.raises(EvaluationError, match="a: got objects"):
        SequenceScore(name="a", frame_names=("1", "2"), objects=())


def test_reprs_hold_no_arrays():
    score = evaluate_sequence("a", annotations=clip(4), predictions=clip(4))
    assert repr(score) == "SequenceScore('a', 1 objects, 2 frames)"
    assert repr(score.objects[0]) == "ObjectScore(1, 2 frames)"
