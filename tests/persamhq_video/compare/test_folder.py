"""The folder of a comparison appears complete or not at all."""

import json

import pytest

from persamhq_video.compare.folder import FILE_NAMES, ComparisonFolder
from persamhq_video.errors import ConfigError

NAMES = ("near", "far")


def fill(folder, staging, text="x"):
    for name in NAMES:
        (staging / name / "masks").mkdir(parents=True)
        (staging / name / "masks" / "0.png").write_text(text)
    for name in FILE_NAMES:
        (staging / name).write_text(text)
    folder.write_record({"status": "complete"})


def compare(out, text="x", *, overwrite=False):
    folder = ComparisonFolder(out, NAMES)
    folder.check(overwrite=overwrite)
    with folder.open() as staging:
        fill(folder, staging, text)


def entries(out):
    return sorted(path.name for path in out.iterdir())


def test_everything_gets_its_name(out):
    compare(out)
    assert entries(out) == sorted([*NAMES, *FILE_NAMES])
    record = json.loads((out / "compare.json").read_text())
    assert record == {"status": "complete", "entries": [*NAMES, *FILE_NAMES]}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left(out, error):
    folder = ComparisonFolder(out / "deep", NAMES)
    with pytest.raises(error), folder.open() as staging:  # noqa: PT012 - the error comes after files are there
        fill(folder, staging)
        raise error("stop")
    assert not out.exists()


def test_after_an_error_what_was_there_is_there(out):
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    folder = ComparisonFolder(out, NAMES)
    with pytest.raises(ValueError, match="stop"), folder.open():
        raise ValueError("stop")
    assert entries(out) == ["notes.txt"]


def test_what_a_killed_comparison_left_does_no_harm(out):
    (out / ".persamhq-compare" / "near").mkdir(parents=True)
    (out / ".persamhq-compare" / "near" / "old.png").write_text("old")
    compare(out)
    assert entries(out) == sorted([*NAMES, *FILE_NAMES])
    assert not (out / "near" / "old.png").exists()


def test_a_comparison_is_not_replaced_unless_asked(out):
    compare(out, "old")
    with pytest.raises(ConfigError, match="holds a comparison already; use --overwrite, or another --out"):
        compare(out, "new")
    assert (out / "compare.html").read_text() == "old"


def test_a_comparison_is_replaced_as_a_whole(out):
    compare(out, "old")
    (out / "near" / "masks" / "1.png").write_text("old")
    (out / "notes.txt").write_text("mine")
    compare(out, "new", overwrite=True)
    assert (out / "compare.html").read_text() == "new"
    assert not (out / "near" / "masks" / "1.png").exists()
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["near", "compare.csv"])
def test_what_somebody_else_wrote_is_never_replaced(out, name, overwrite):
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"{name} is there and no comparison wrote it"):
        compare(out, overwrite=overwrite)


@pytest.mark.parametrize("content", ["{", "[]", '{"entries": 3}', '{"entries": ["../other", "/etc", 5, ""]}'])
def test_a_record_of_something_else_owns_nothing(out, content):
    out.mkdir()
    (out / "compare.json").write_text(content)
    with pytest.raises(ConfigError, match=r"compare\.json is there and no comparison wrote it"):
        compare(out, overwrite=True)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        ComparisonFolder(tmp_path / "file", NAMES).check(overwrite=False)
