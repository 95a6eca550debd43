"""The layout of DAVIS on disk."""

import numpy as np
import pytest

from persam_hq.errors import EvaluationError, PersamHQError
from persam_hq.evaluation.protocols.davis_dataset import DavisDataset, PredictionFolder


def labels(count=3, *, height=6, width=8, value=1):
    maps = []
    for index in range(count):
        label = np.zeros((height, width), np.uint8)
        label[1:3, index : index + 3] = value
        maps.append(label)
    return maps


@pytest.mark.parametrize("kind", ["layout", "layout_480p"])
def test_sequences_frames_and_annotations(request, kind):
    layout = request.getfixturevalue(kind)
    layout.add("goat", labels(4))
    layout.add("camel", labels(3))
    (layout.annotations / ".cache").mkdir()
    (layout.annotations / "README.txt").write_text("text")

    dataset = DavisDataset(layout.root)

    assert dataset.names == ("camel", "goat")
    assert [len(sequence) for sequence in dataset] == [3, 4]
    goat = dataset.sequence("goat")
    assert goat.frame_names == ("00000", "00001", "00002", "00003")
    assert [int(frame.max()) for frame in goat.frames()] == [0, 1, 2, 3]
    np.testing.assert_array_equal(list(goat.annotations()), labels(4))
    np.testing.assert_array_equal(goat.first_mask(), labels(1)[0])


def test_selection_keeps_the_order_asked_for(layout):
    for name in ("a", "b", "c"):
        layout.add(name, labels())
    dataset = DavisDataset(str(layout.root))
    assert [sequence.name for sequence in dataset.select(["c", "a"])] == ["c", "a"]
    assert [sequence.name for sequence in dataset.select()] == ["a", "b", "c"]
    assert len(dataset) == 3


def test_frames_may_be_png_and_have_any_name(layout):
    for name in ("frame_10.png", "frame_2.png", "frame_1.png"):
        layout.write_frame("x", name, np.zeros((4, 5, 3), np.uint8))
        layout.write_label(layout.annotations / "x" / name, np.ones((4, 5), np.uint8))
    assert DavisDataset(layout.root).sequence("x").frame_names == ("frame_1", "frame_2", "frame_10")


def test_reprs_hold_no_arrays(layout):
    layout.add("a", labels())
    dataset = DavisDataset(layout.root)
    assert repr(dataset.sequence("a")) == "DavisSequence('a', 3 frames)"
    assert repr(dataset).endswith("1 sequences)")


def test_unknown_sequence(layout):
    layout.add("goat", labels())
    with pytest.raises(EvaluationError, match=r"no annotated sequence 'got' in .*: expected one of goat"):
        DavisDataset(layout.root).select(["got"])


@pytest.mark.parametrize("kind", ["JPEGImages", "Annotations"])
def test_root_without_its_folders(tmp_path, kind):
    other = {"JPEGImages", "Annotations"} - {kind}
    (tmp_path / other.pop()).mkdir()
    with pytest.raises(PersamHQError, match=f"has no folder {kind}.*JPEGImages and Annotations"):
        DavisDataset(tmp_path)


def test_no_sequences(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(EvaluationError, match="holds no sequence"):
        DavisDataset(tmp_path)


def test_sequence_without_frames(layout):
    layout.add("a", labels())
    layout.write_label(layout.annotations / "b" / "00000.png", labels()[0])
    with pytest.raises(EvaluationError, match=r"JPEGImages.b is missing.*sequence b"):
        DavisDataset(layout.root).sequence("b")


def test_empty_sequence(layout):
    layout.add("a", labels())
    (layout.annotations / "b").mkdir()
    (layout.frames / "b").mkdir()
    with pytest.raises(EvaluationError, match=r"JPEGImages.b is empty: expected \.jpe?g or"):
        DavisDataset(layout.root).sequence("b")


def test_missing_annotation(layout):
    layout.add("a", labels(5))
    (layout.annotations / "a" / "00003.png").unlink()
    with pytest.raises(EvaluationError, match="5 frames and 4 annotations, and 00003 is not once among each"):
        DavisDataset(layout.root).sequence("a")


def test_frame_that_is_there_twice(layout):
    layout.add("a", labels(3))
    layout.write_frame("a", "00001.png", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(EvaluationError, match="4 frames and 3 annotations, and 00001"):
        DavisDataset(layout.root).sequence("a")


def test_annotation_of_another_size_than_its_frame(layout):
    layout.add("a", labels(3))
    layout.write_label(layout.annotations / "a" / "00002.png", np.ones((6, 7), np.uint8))
    with pytest.raises(EvaluationError, match=r"00002\.png is 7x6: expected 8x6.*00002\.jpg"):
        list(DavisDataset(layout.root).sequence("a").annotations())


def test_predictions(layout, tmp_path):
    layout.add("a", labels(3))
    for index, label in enumerate(labels(3)):
        layout.write_label(tmp_path / "out" / "a" / f"{index:05d}.png", label)
    predictions = PredictionFolder(tmp_path / "out")(DavisDataset(layout.root).sequence("a"))
    np.testing.assert_array_equal(list(predictions), labels(3))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_missing_prediction(layout, tmp_path, index):
    layout.add("a", labels(3))
    for name in {0, 1, 2} - {index}:
        layout.write_label(tmp_path / "out" / "a" / f"{name:05d}.png", labels(3)[name])
    folder = PredictionFolder(tmp_path / "out")
    with pytest.raises(EvaluationError, match=rf"a.{index:05d}\.png is missing \(1 of 3 predictions of a"):
        folder(DavisDataset(layout.root).sequence("a"))
