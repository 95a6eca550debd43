"""The tracker as a method to score: its confidence is compared with J of the same objects and frames."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from persam_hq.evaluation import DavisSequence, score_method
from persamhq_video.evaluation import TrackerMethod
from persamhq_video.executors import Tracked
from persamhq_video.types import FrameResult, ObjectResult

SIZE = (24, 40)


class ScriptedExecutor:
    """Finds what it is told to: a label map a frame, and (score, state) an object, records in the order given."""

    def __init__(self, found):
        self.found, self.labels = found, None

    def stream(self, frames, labels):
        self.labels = labels
        for frame, (label_map, said) in zip(frames, self.found, strict=True):
            records = tuple(ObjectResult(i, state, score, 0.5, 0.5, 1, None) for i, (score, state) in said.items())
            yield Tracked(frame, FrameResult(frame.index, frame.pts, frame.time_base, frame.name, label_map, records))


def label_map(**columns):
    """Objects as strips, ten rows high: `_3=(left, width)` is object 3, in columns."""
    labels = np.zeros(SIZE, np.uint8)
    for name, (left, width) in columns.items():
        labels[5:15, left : left + width] = int(name.removeprefix("_"))
    return labels


@pytest.fixture
def make_sequence(tmp_path):
    def make(annotation, *, frames=4):
        paths = {"frames": [], "annotations": []}
        for index in range(frames):
            for folder, picture in (("frames", np.zeros((*SIZE, 3), np.uint8)), ("annotations", annotation)):
                path = tmp_path / folder / f"{index:05d}.png"
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(picture).save(path)
                paths[folder].append(path)
        return DavisSequence("goat", tuple(paths["frames"]), tuple(paths["annotations"]))

    return make


def run(sequence, found):
    """The score of the sequence, what the executor was given, and the method."""
    executor = ScriptedExecutor(found)
    method = TrackerMethod(executor, SimpleNamespace(reader="pyav"), None, lambda event: None)
    return score_method(sequence, method), executor.labels, method


ENDS = {1: (0.0, "absent")}
"""Of the first and the last frame, which are not scored."""


def test_one_foreground_is_object_1(make_sequence):
    sequence = make_sequence(label_map(_255=(0, 8)))
    whole, half = label_map(_1=(0, 8)), label_map(_1=(0, 4))
    found = [(whole, ENDS), (whole, {1: (0.9, "present")}), (half, {1: (0.3, "uncertain")}), (whole, ENDS)]
    score, given, method = run(sequence, found)
    assert np.unique(given).tolist() == [0, 1]
    row = method.confidence(score)
    assert (row.name, row.num_objects, row.doubted) == ("goat", 1, 0.5)
    assert (row.score, row.region, row.correlation) == pytest.approx((0.6, 0.75, 1.0))


def test_objects_keep_their_ids(make_sequence):
    # Object 2 is found and said to be; of object 7 half is found, and it is said to be absent or doubtful.
    sequence = make_sequence(label_map(_2=(0, 8), _7=(10, 8), _255=(20, 8)))
    found = label_map(_2=(0, 8), _7=(10, 4))
    middle = [{7: (0.0, "absent"), 2: (0.75, "present")}, {7: (0.25, "uncertain"), 2: (1.0, "present")}]
    ends = {2: (0.0, "absent"), 7: (1.0, "given")}
    score, given, method = run(sequence, [(found, said) for said in (ends, *middle, ends)])
    assert np.unique(given).tolist() == [0, 2, 7]
    row = method.confidence(score)
    assert (row.num_objects, row.score, row.region, row.doubted) == (2, 0.5, 0.75, 0.5)
    # Deviations 1/4 1/2 -1/2 -1/4 and 1/4 1/4 -1/4 -1/4: 3/8 over sqrt(5/8 * 1/4).
    assert row.correlation == pytest.approx(0.375 / np.sqrt(0.15625))


def test_a_second_run_takes_the_place_of_the_first(make_sequence):
    sequence, whole = make_sequence(label_map(_255=(0, 8)), frames=3), label_map(_1=(0, 8))
    score, _, method = run(sequence, [(whole, ENDS), (whole, {1: (0.5, "present")}), (whole, ENDS)])
    assert method.confidence(score).score == 0.5
    method.executor.found[1] = (whole, {1: (0.25, "present")})
    assert method.confidence(score_method(sequence, method)).score == 0.25
