import csv

import numpy as np
import pytest
from PIL import Image

from persam_hq.commands.results import SCORES_NAME, SHEET_NAME, ResultFolder, box_of
from persam_hq.errors import InputError
from persam_hq.image_files import read_mask

IMAGE = np.full((6, 9, 3), 100, np.uint8)
LABELS = np.zeros((6, 9), np.uint8)
LABELS[1:3, 2:7] = 1


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_scores_and_sheet_come_last(tmp_path):
    out = ResultFolder(tmp_path / "out", columns=("image", "pixels"))
    out.add("cat/a", IMAGE, LABELS, [{"image": "cat/a.png", "pixels": 10}])
    out.add("b", IMAGE, LABELS * 0, [{"image": "b.png", "pixels": 0}])
    masks = ["b.png", "b_overlay.jpg", "cat/a.png", "cat/a_overlay.jpg"]
    assert names(tmp_path / "out") == masks
    out.finish()
    assert names(tmp_path / "out") == sorted([*masks, SCORES_NAME, SHEET_NAME])
    assert np.array_equal(read_mask(tmp_path / "out" / "cat" / "a.png"), LABELS > 0)
    with (tmp_path / "out" / SCORES_NAME).open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"image": "cat/a.png", "pixels": "10"},
            {"image": "b.png", "pixels": "0"},
        ]
    with Image.open(tmp_path / "out" / SHEET_NAME) as sheet:
        assert sheet.size == (18, 6)


def test_names_with_points_in_them_stay_whole(tmp_path):
    out = ResultFolder(tmp_path, columns=("image",))
    out.add("photo.v2", IMAGE, LABELS, [])
    assert names(tmp_path) == ["photo.v2.png", "photo.v2_overlay.jpg"]


def test_what_says_that_an_earlier_run_was_complete_goes(tmp_path):
    out = ResultFolder(tmp_path, columns=("image",))
    out.add("a", IMAGE, LABELS, [{"image": "a.png"}])
    out.finish()
    ResultFolder(tmp_path, columns=("image",))
    assert names(tmp_path) == ["a.png", "a_overlay.jpg"]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        ResultFolder(tmp_path / "out", columns=())


def test_boxes_are_first_and_last_columns_and_rows():
    assert box_of(LABELS > 0) == {"x0": 2, "y0": 1, "x1": 6, "y1": 2}
    one = np.zeros((6, 9), bool)
    one[4, 3] = True
    assert box_of(one) == {"x0": 3, "y0": 4, "x1": 3, "y1": 4}
    assert set(box_of(one & False).values()) == {""}
