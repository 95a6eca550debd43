import argparse
from pathlib import Path

import pytest
from stand_ins.lite import tiny_lite

from persam_hq.cli.options import images_of, use_hq
from persam_hq.errors import InputError


def folder(path, *names):
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).write_bytes(b"")
    return path


def test_files_and_folders_in_order(tmp_path):
    some = folder(tmp_path / "some", "b.JPG", "a.png", "c.jpeg", "notes.txt", "._a.png")
    alone = folder(tmp_path, "z.png") / "z.png"
    assert images_of([alone, some]) == [alone, some / "a.png", some / "b.JPG", some / "c.jpeg"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["none.png"], "none.png: no such image"),
        (["empty"], "empty holds no image"),
        (["some", "more"], "two images are called a"),
    ],
)
def test_paths_that_are_of_no_use(tmp_path, names, said):
    folder(tmp_path / "empty", "notes.txt")
    folder(tmp_path / "some", "a.png")
    folder(tmp_path / "more", "a.jpg")
    with pytest.raises(InputError, match=said):
        images_of([tmp_path / name for name in names])


@pytest.mark.parametrize(
    ("name", "choice", "used"),
    [
        ("square", "auto", True),
        ("square", "on", True),
        ("square", "off", False),
        ("square_plain", "auto", False),
        ("square_plain", "off", False),
        ("lite", "auto", True),
        ("lite", "off", False),
    ],
)
def test_whether_hq_parts_are_used(request, name, choice, used):
    model = tiny_lite() if name == "lite" else request.getfixturevalue(name)
    assert use_hq(argparse.Namespace(hq=choice), model) is used


@pytest.mark.parametrize(
    ("checkpoint", "what"), [(None, "vit_b has no HQ"), (Path("sam_b.pth"), r"sam_b\.pth has no HQ")]
)
def test_hq_parts_that_are_asked_for_and_are_not_there(square_plain, checkpoint, what):
    options = argparse.Namespace(hq="on", model="vit_b", checkpoint=checkpoint)
    with pytest.raises(InputError, match=what):
        use_hq(options, square_plain)
