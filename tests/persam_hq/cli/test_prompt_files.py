import pytest

from persam_hq.cli.prompt_files import as_object, is_object

CLICKS = [[3, 4, 1], [5, 6, 0]]


@pytest.mark.parametrize(
    "record",
    [
        {"points": [[3, 4, 1], [5, 6, 0]]},
        {"points": [[3, 4], [5, 6]], "labels": [1, 0]},
        {"clicked_points": [[3, 4, 1], [5, 6, 0]]},
        {"clicked_points": [[3, 4], [5, 6]], "clicked_labels": [1, 0]},
        {"clicked_points": [{"x": 3, "y": 4}, {"x": 5, "y": 6, "label": 0}]},
        {"clicked_points": [{"x": 3, "y": 4, "label": True}, {"x": 5, "y": 6, "label": False}]},
        {"input_point": [[3, 4], [5, 6]], "input_label": [1, 0]},
        {"input_points": [[3, 4], [5, 6]], "input_labels": [1, 0]},
        {"point_coords": [[3, 4], [5, 6]], "point_labels": [1, 0]},
    ],
    ids="+".join,
)
def test_layouts_of_clicks(record):
    assert as_object(record) == {"points": CLICKS}
    assert is_object(record)


@pytest.mark.parametrize(
    "record",
    [{"box": [1, 2, 9, 8]}, {"input_box": [1, 2, 9, 8]}, {"bbox": [1, 2, 8, 6]}],
    ids=["box", "input", "COCO"],
)
def test_layouts_of_boxes(record):
    assert as_object(record) == {"box": [1, 2, 9, 8]}


def test_points_without_labels_lie_on_the_object():
    assert as_object({"clicked_points": [[3, 4]]}) == {"points": [[3, 4, 1]]}
    assert as_object({"clicked_points": [3, 4]}) == {"points": [[3, 4, 1]]}
    assert as_object({"points": [[3, 4]], "labels": 0}) == {"points": [[3, 4, 0]]}


def test_nothing_that_is_null_counts():
    record = {"clicked_points": [[3, 4]], "box": None, "bbox": None, "mask": None}
    assert as_object(record) == {"points": [[3, 4, 1]]}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"points": [[1, 2]], "clicked_points": [[1, 2]]}, "points and clicked_points say the same thing"),
        ({"box": [1, 2, 3, 4], "bbox": [1, 2, 3, 4]}, "box and bbox say the same thing"),
        ({"points": [[1, 2]], "labels": [1, 0]}, "1 points have 2 labels"),
        ({"points": [[1, 2, 1]], "labels": [1]}, "labels of their own and beside them"),
        ({"labels": [1]}, "labels alone mean nothing"),
        ({"clicked_points": [{"x": 1}]}, r"a point is \[X, Y\]"),
        ({"clicked_points": [{"x": 1, "y": 2, "z": 3}]}, r"a point is \[X, Y\]"),
        ({"bbox": [1, 2, 3]}, "WIDTH, HEIGHT"),
        ({"bbox": "1 2 3 4"}, "WIDTH, HEIGHT"),
    ],
)
def test_records_that_contradict_themselves(record, said):
    with pytest.raises(ValueError, match=said):
        as_object(record)


def test_what_is_no_object():
    assert not is_object([{"points": []}])
    assert not is_object({"photo.jpg": [{"points": []}]})
    assert as_object(7) == 7
    assert as_object({"colour": "red", "box": [1, 2, 9, 8]}) == {"colour": "red", "box": [1, 2, 9, 8]}
