import csv

import pytest

from persam_hq.training.curves import append_curves, curves_to_csv, cut_curves, read_curves


def test_curves_become_a_table(tmp_path):
    source, table = tmp_path / "curves.jsonl", tmp_path / "curves.csv"
    source.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5, "iou": 0.7}\n')
    curves_to_csv(source, table)
    with table.open(newline="") as lines:
        assert list(csv.reader(lines)) == [["step", "loss", "iou"], ["1", "2.0", ""], ["2", "1.5", "0.7"]]


def test_curves_are_cut_back_to_a_step(tmp_path):
    path = tmp_path / "curves.jsonl"
    for step in (1, 2, 3):
        append_curves(path, {"step": step, "loss": 1 / step})
    cut_curves(path, step=2)
    append_curves(path, {"step": 3, "loss": 0.5})
    assert [record["step"] for record in read_curves(path)] == [1, 2, 3]


@pytest.mark.parametrize("rest", ['{"step": 2, "lo', ""])
def test_half_a_line_at_the_end_goes(tmp_path, rest):
    path = tmp_path / "curves.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n' + rest)
    cut_curves(path, step=5)
    assert path.read_text() == '{"step": 1, "loss": 2.0}\n'


def test_without_curves_there_is_nothing_to_cut(tmp_path):
    cut_curves(tmp_path / "curves.jsonl", step=0)
    assert not list(tmp_path.iterdir())


def test_curves_are_not_written_through_a_link(tmp_path):
    (tmp_path / "curves.jsonl").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match=r"curves\.jsonl"):
        append_curves(tmp_path / "curves.jsonl", {"step": 1, "loss": 1.0})
    assert not (tmp_path / "theirs").exists()
