import csv

import numpy as np
import pytest
from PIL import Image

from persam_hq.cli.result_folder import SCORES_NAME, SHEET_NAME, ResultFolder, box_of
from persam_hq.errors import InputError, OutputError
from persam_hq.io.images import read_mask

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


def test_what_is_read_is_not_replaced(tmp_path):
    mask = tmp_path / "cat.png"
    mask.write_text("drawn by hand")
    (tmp_path / "cat_overlay.jpg").write_text("of an earlier run")
    with pytest.raises(InputError, match=r"cat\.png is read, .* choose another --out"):
        ResultFolder(tmp_path / "x" / "..", columns=("image",), names=["cat"], inputs=[mask])
    assert mask.read_text() == "drawn by hand"


@pytest.mark.parametrize("name", ["cat.png", SCORES_NAME])
def test_files_of_somebody_else_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("frame,pts")
    with pytest.raises(InputError, match=f"{name} is there and no run wrote it; choose another --out"):
        ResultFolder(tmp_path, columns=("image",), names=["cat"])
    assert names(tmp_path) == [name]


def test_results_of_an_earlier_run_are_replaced(tmp_path):
    for pixels in ("10", "20"):
        out = ResultFolder(tmp_path, columns=("image", "pixels"), names=["a"])
        out.add("a", IMAGE, LABELS, [{"image": "a.png", "pixels": pixels}])
        out.finish()
    assert (tmp_path / SCORES_NAME).read_text() == "image,pixels\na.png,20\n"


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "a.png").mkdir()
    out = ResultFolder(tmp_path, columns=("image",))
    with pytest.raises(OutputError, match=r"cannot write to .*: Is a directory; see to the folder"):
        out.add("a", IMAGE, LABELS, [])


def test_boxes_are_first_and_last_columns_and_rows():
    assert box_of(LABELS > 0) == {"x0": 2, "y0": 1, "x1": 6, "y1": 2}
    one = np.zeros((6, 9), bool)
    one[4, 3] = True
    assert box_of(one) == {"x0": 3, "y0": 4, "x1": 3, "y1": 4}
    assert set(box_of(one & False).values()) == {""}
