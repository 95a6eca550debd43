"""Pictures of the worst frames."""

import numpy as np
import pytest
from PIL import Image

from persam_hq.evaluation import DavisSequence, ObjectScore, SequenceScore
from persamhq_video.evaluation.failure_sheets import (
    FrameScore,
    draw_failure,
    failure_sheet,
    worst_frames,
    write_failures,
)

SIZE = (48, 80)


def score_of(*objects):
    """A clip's score from J and F of each object; frames are named as files are."""
    names = tuple(f"{index:05d}" for index in range(1, 1 + len(objects[0][0])))
    scores = [
        ObjectScore(object_id=i, region=np.array(j, float), boundary=np.array(f, float))
        for i, (j, f) in enumerate(objects, start=1)
    ]
    return SequenceScore(name="goat", frame_names=names, objects=tuple(scores))


def square(x, value=1):
    labels = np.zeros(SIZE, np.uint8)
    labels[10:30, x : x + 20] = value
    return labels


@pytest.fixture
def sequence(tmp_path):
    """Six frames of a grey each, with a square that stands still."""
    frames, annotations = [], []
    for index in range(6):
        frames.append(tmp_path / "frames" / f"{index:05d}.png")
        annotations.append(tmp_path / "annotations" / f"{index:05d}.png")
        for path, picture in ((frames[-1], np.full((*SIZE, 3), 20 * index, np.uint8)), (annotations[-1], square(20))):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(path)
    return DavisSequence("goat", tuple(frames), tuple(annotations))


def test_the_worst_frames_come_first():
    score = score_of(([0.9, 0.2, 0.5, 0.1], [0.9, 0.2, 0.5, 0.6]))
    assert worst_frames(score, count=2) == (FrameScore("00002", 2, 0.2, 0.2), FrameScore("00004", 4, 0.1, 0.6))
    assert [frame.name for frame in worst_frames(score)] == ["00002", "00004", "00003", "00001"]


def test_frames_that_are_equally_bad_keep_their_order():
    frames = worst_frames(score_of(([0.5] * 8, [0.5] * 8)))
    assert [frame.index for frame in frames] == [1, 2, 3, 4, 5]


def test_several_objects_count_by_their_mean():
    (worst,) = worst_frames(score_of(([1.0, 0.6], [1.0, 0.6]), ([0.0, 0.6], [0.0, 0.6])), count=1)
    assert (worst.name, worst.j, worst.f) == ("00001", 0.5, 0.5)
    assert worst.caption == "00001   J 50.0   F 50.0"


def test_a_failure_shows_both_masks():
    frame = np.full((*SIZE, 3), 100, np.uint8)
    picture = draw_failure(frame, square(20), square(50), width=80)
    assert picture.shape == (*SIZE, 3)
    assert picture[20, 60].tolist() != [100] * 3  # predicted: tinted
    assert picture[20, 30].tolist() == [100] * 3  # annotated alone: only outlined
    assert picture[20, 20].tolist() == [255] * 3
    assert picture[5, 5].tolist() == [100] * 3
    assert (frame == 100).all()


@pytest.mark.parametrize(("labels", "predicted"), [(square(20) * 0, square(50)), (square(20), square(50) * 0)])
def test_a_mask_may_be_empty(labels, predicted):
    frame = np.full((*SIZE, 3), 100, np.uint8)
    assert (draw_failure(frame, labels, predicted, width=80) != frame).any()


def test_frames_are_scaled_to_the_width():
    frame = np.zeros((*SIZE, 3), np.uint8)
    picture = draw_failure(frame, square(20, 255), square(20), width=160)
    assert picture.shape == (96, 160, 3)
    assert picture[40, 40].tolist() == [255] * 3


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (5, 3, 2)])
def test_a_sheet_has_two_frames_a_row(sequence, count, rows, columns):
    frames = [FrameScore(f"{index:05d}", index, 0.5, 0.5) for index in range(count)]
    sheet = failure_sheet(sequence, [square(20)] * 6, frames)
    assert sheet.shape == (rows * (28 + 384), columns * 640, 3)


def test_a_sheet_keeps_the_order_and_names_each_frame(sequence):
    frames = [FrameScore("00004", 4, 0.1, 0.1), FrameScore("00001", 1, 0.2, 0.2)]
    sheet = failure_sheet(sequence, (square(20) for _ in range(6)), frames)
    assert (sheet[28 + 5, 5, 0], sheet[28 + 5, 640 + 5, 0]) == (80, 20)
    captions = sheet[:28, :640], sheet[:28, 640:]
    assert all(caption.max() > 200 for caption in captions)
    assert (captions[0] != captions[1]).any()


def test_files_are_named_after_the_sequence(sequence, tmp_path):
    score = score_of(([0.9, 0.2, 0.5, 0.1], [0.9, 0.2, 0.5, 0.6]))
    path = write_failures(sequence, [square(20)] * 6, score, tmp_path / "out" / "worst")
    assert path == tmp_path / "out" / "worst" / "goat.jpg"
    with Image.open(path) as picture:
        assert picture.size == (1280, 2 * (28 + 384))
