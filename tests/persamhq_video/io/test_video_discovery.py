"""The videos that a path or a pattern names."""

from __future__ import annotations

import pytest

from persamhq_video.errors import InputError
from persamhq_video.io import find_videos

FILES = [
    "clips/shot10.mp4",
    "clips/shot2.MOV",
    "clips/.hidden.mp4",
    "clips/notes.txt",
    "clips/day/shot3.mkv",
    "clips/day/frames/0.png",
    "frames/0.png",
    "frames/making-of.mp4",
    "take[1].mp4",
    "raw.dat",
    "texts/notes.txt",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "videos", "root"),
    [
        ("clips/shot10.mp4", ["clips/shot10.mp4"], None),
        ("raw.dat", ["raw.dat"], None),
        ("take[1].mp4", ["take[1].mp4"], None),
        ("frames", ["frames"], None),
        ("clips", ["clips/shot2.MOV", "clips/shot10.mp4"], "clips"),
        ("clips/", ["clips/shot2.MOV", "clips/shot10.mp4"], "clips"),
        ("clips/*.mp4", ["clips/shot10.mp4"], "clips"),
        ("clips/*", ["clips/shot2.MOV", "clips/shot10.mp4"], "clips"),
        ("clips/*/*", ["clips/day/frames", "clips/day/shot3.mkv"], "clips"),
        ("clips/day/fr*", ["clips/day/frames"], "clips/day"),
        ("clips/**/shot?.*", ["clips/day/shot3.mkv", "clips/shot2.MOV"], "clips"),
        ("**/*.mkv", ["clips/day/shot3.mkv"], "."),
        ("cl*/day/*.mkv", ["clips/day/shot3.mkv"], "."),
    ],
)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_videos_are_found_in_order(here, given, videos, root, is_absolute):
    base = f"{here}/" if is_absolute else ""
    found = find_videos(base + given)
    assert [str(video.path.relative_to(base or ".")) for video in found] == videos
    assert {None if video.root is None else str(video.root.relative_to(base or ".")) for video in found} == {root}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.mp4", r"none\.mp4: no such file or folder; give a video file, a folder of frames"),
        ("empty", r"empty: no frames in it and no video files; .* a pattern such as 'empty/\*\*/\*\.mp4'"),
        ("texts", r"texts: no frames in it and no video files"),
        ("none/*.mp4", r"none/\*\.mp4: no match; expected files such as clip\.mp4"),
        (
            "frames/*.png",
            r"1 matches, none a video file .*; for images as frames of one video give their folder, frames",
        ),
        ("texts/*", r"texts/\*: 1 matches, none a video file or a folder of frames"),
        ("*/*.txt", r"\*/\*\.txt: 2 matches, none a video file or a folder of frames"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_matches_nothing_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        find_videos(given)
