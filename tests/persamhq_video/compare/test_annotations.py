"""Annotations: the frames that are scored, and the errors."""

import numpy as np
import pytest
from PIL import Image

from persam_hq.evaluation import evaluate_sequence
from persamhq_video.compare.annotations import open_annotations, score_masks
from persamhq_video.errors import InputError
from persamhq_video.io import FrameWindow, open_source

SIZE = (36, 64)
NAMES = [f"f{index:03d}" for index in range(6)]
ALL = FrameWindow()


def label_map(left, value=1):
    labels = np.zeros(SIZE, np.uint8)
    labels[8:24, left : left + 20] = value
    return labels


@pytest.fixture
def source(make_clip):
    return open_source(make_clip(frames=6))


@pytest.fixture
def save(tmp_path):
    """Write label maps by the names of their frames."""

    def write(folder, maps):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, labels in maps.items():
            Image.fromarray(labels).save(tmp_path / folder / f"{name}.png")
        return tmp_path / folder

    return write


def moving(step, value=1):
    return {name: label_map(step * index, value) for index, name in enumerate(NAMES)}


def score(save, source, truth, *, predicted=None, first=None):
    annotations = open_annotations(save("truth", truth), source, ALL)
    masks = save("near/masks", predicted or moving(3))
    return score_masks(annotations, names=NAMES, first=label_map(0) if first is None else first, masks=masks)


def test_all_frames_are_scored_as_davis_does(save, source):
    truth, predicted = moving(2), moving(3)
    found = score(save, source, truth, predicted=predicted)
    expected = evaluate_sequence("x", annotations=truth.values(), predictions=predicted.values(), frame_names=NAMES)
    assert found.frame_names == expected.frame_names == tuple(NAMES[1:-1])
    assert found.j_and_f == expected.j_and_f
    assert found.name == "near"


@pytest.mark.parametrize("names", [["f002"], ["f002", "f005"], ["f000", "f003"], ["f005"]])
def test_some_frames(save, source, names):
    truth = {name: labels for name, labels in moving(2).items() if name in names}
    found = score(save, source, truth)
    assert found.frame_names == tuple(name for name in names if name != "f000")
    expected = [(20 - int(name[1:])) / (20 + int(name[1:])) for name in found.frame_names]
    assert found.objects[0].region == pytest.approx(expected)


@pytest.mark.parametrize("value", [255, 1, 38])
def test_one_foreground_whatever_its_value(save, source, value):
    assert score(save, source, moving(3, value)).j.mean == 1.0


def test_several_objects_by_their_ids(save, source):
    def both(name, labels):
        return np.where(label_map(40, 2) > 0, 2, labels).astype(np.uint8)

    truth = {name: both(name, labels) for name, labels in moving(0).items()}
    found = score(save, source, truth, predicted=moving(0), first=both("f000", label_map(0)))
    assert [one.object_id for one in found.objects] == [1, 2]
    assert [one.j.mean for one in found.objects] == [1.0, 0.0]


def test_frames_that_never_came_are_not_scored(save, source):
    annotations = open_annotations(save("truth", {"f004": label_map(0)}), source, ALL)
    assert score_masks(annotations, names=NAMES[:3], first=label_map(0), masks=save("near/masks", {})) is None


def test_what_is_shown_has_the_masks_colour(save, source):
    annotations = open_annotations(save("truth", moving(0, 255)), source, ALL)
    assert set(np.unique(annotations.display_labels("f001", label_map(0, 7)))) == {0, 7}
    assert annotations.display_labels("f009", label_map(0)) is None


def test_names_of_a_video_are_numbers(save, make_clip, tmp_path):
    source = open_source(make_clip("numbers", frames=4))
    assert open_annotations(save("truth", {"f001": label_map(0)}), source, ALL).files.keys() == {"f001"}


REFUSED = {
    "no folder": (None, {}, "truth: no such folder; --annotations takes a folder of PNGs"),
    "nothing in it": ({}, {}, r"annotates no frame beyond the first; expected PNGs such as f001\.png"),
    "other names": ({"00001": label_map(0)}, {}, "annotates no frame beyond the first"),
    "the first frame alone": ({"f000": label_map(0)}, {}, "annotates no frame beyond the first"),
    "outside the window": ({"f001": label_map(0)}, {"start": 2}, r"expected PNGs such as f003\.png"),
    "another size": ({"f001": np.ones((9, 9), np.uint8)}, {}, "the annotation is 9x9 but the frames are 64x36"),
    "colours": ({"f001": np.random.default_rng(1).integers(0, 9, (*SIZE, 3), np.uint8)}, {}, "is a colour image"),
}


@pytest.mark.parametrize(("maps", "window", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(save, source, maps, window, message):
    folder = source.info.path / "truth" if maps is None else save("truth", maps)
    with pytest.raises(InputError, match=message):
        open_annotations(folder, source, FrameWindow(**window))


def test_a_damaged_file_is_refused(save, source):
    folder = save("truth", {"f001": label_map(0)})
    (folder / "f002.png").write_bytes((folder / "f001.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"f002\.png"):
        open_annotations(folder, source, ALL)
