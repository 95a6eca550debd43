"""From what the command line was given to one task a video."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from persamhq_video.errors import ConfigError, InputError
from persamhq_video.job.tasks import VideoTask, collect_tasks

FILES = [
    "clips/a.mp4",
    "clips/b.mp4",
    "days/mon/a.mp4",
    "days/mon/c.mp4",
    "days/tue/a.mp4",
    "other/a.mp4",
    "pair/a.mp4",
    "pair/a.mov",
    "nest/a/b.mp4",
    "nest/a.mp4",
    "nest/b.mp4",
    "frames/take.1/0.png",
    "frames/take.2/0.png",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "jobs.csv").write_text("video,mask,out,start\nclips/a.mp4,m/a.png,results/a,3\nclips/b.mp4,,,\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def collect(*given, mask="masks", out="out"):
    return collect_tasks(given, mask=mask, out=None if out is None else Path(out))


def takes(source, text):
    """A plugin's source and streams."""
    return source == "mine" or text.startswith(("rtsp://", "take:"))


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (["rtsp://host/yard"], {"rtsp://host/yard": "out"}),
        (["rtsp://host/yard", "rtsp://host/yard"], {"rtsp://host/yard": "out"}),
        (["take:*", "clips/a.mp4"], {"take:*": "out/take", "clips/a.mp4": "out/a"}),
        (
            ["rtsp://host/list.csv", "clips"],
            {"rtsp://host/list.csv": "out/list", "clips/a.mp4": "out/a", "clips/b.mp4": "out/b"},
        ),
        (
            ["rtsp://host/a", "days/**/*.mp4"],
            {
                "rtsp://host/a": "out/a",
                "days/mon/a.mp4": "out/mon/a",
                "days/mon/c.mp4": "out/mon/c",
                "days/tue/a.mp4": "out/tue/a",
            },
        ),
    ],
)
def test_what_is_no_path_goes_to_its_source_as_it_is(given, places):
    tasks = collect_tasks(given, mask="masks", out=Path("out"), takes_text=takes)
    assert {str(task.video): str(task.out) for task in tasks} == places


def test_two_streams_of_one_name():
    with pytest.raises(
        ConfigError, match=r"rtsp://two/a: its results would share the folder out/a with .*rtsp://one/a"
    ):
        collect_tasks(["rtsp://one/a", "rtsp://two/a"], mask="masks", out=Path("out"), takes_text=takes)


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (["clips/a.mp4"], {"clips/a.mp4": "out"}),
        (["frames/take.1"], {"frames/take.1": "out"}),
        (["clips/a.mp4", "clips/b.mp4"], {"clips/a.mp4": "out/a", "clips/b.mp4": "out/b"}),
        (["frames/*"], {"frames/take.1": "out/take.1", "frames/take.2": "out/take.2"}),
        (["clips"], {"clips/a.mp4": "out/a", "clips/b.mp4": "out/b"}),
        # One match today may be two tomorrow, and the first one's results stay where they are.
        (["clips/a*.mp4"], {"clips/a.mp4": "out/a"}),
        (["clips/*.mp4", "clips/a.mp4", "clips/../clips"], {"clips/a.mp4": "out/a", "clips/b.mp4": "out/b"}),
        (
            ["days/**/*.mp4"],
            {"days/mon/a.mp4": "out/mon/a", "days/mon/c.mp4": "out/mon/c", "days/tue/a.mp4": "out/tue/a"},
        ),
        (["days/*/c.mp4", "clips"], {"days/mon/c.mp4": "out/c", "clips/a.mp4": "out/a", "clips/b.mp4": "out/b"}),
        (
            ["days/mon", "clips/../days/tue"],
            {"days/mon/a.mp4": "out/mon/a", "days/mon/c.mp4": "out/mon/c", "clips/../days/tue/a.mp4": "out/tue/a"},
        ),
        (
            ["other/a.mp4", "days/tue/*", "days/mon/c*"],
            {"other/a.mp4": "out/a", "days/tue/a.mp4": "out/tue/a", "days/mon/c.mp4": "out/mon/c"},
        ),
    ],
)
def test_where_results_go(given, places):
    assert {str(task.video): str(task.out) for task in collect(*given)} == places


def test_a_manifest():
    assert collect("jobs.csv") == [
        VideoTask(Path("clips/a.mp4"), "m/a.png", Path("results/a"), {"start": 3}),
        VideoTask(Path("clips/b.mp4"), "masks", Path("out/b"), {}),
    ]


def test_paths_of_a_manifest_are_relative_to_it(here, monkeypatch):
    monkeypatch.chdir(here / "days")
    first, second = collect("../jobs.csv", "mon/c.mp4")[:2]
    assert (str(first.video), first.mask, str(first.out)) == ("../clips/a.mp4", "../m/a.png", "../results/a")
    assert (second.mask, str(second.out)) == ("masks", "out/b")


def test_a_manifest_of_one_row_still_means_a_folder_of_its_own(here):
    (here / "one.csv").write_text("video\nclips/a.mp4\n")
    assert [str(task.out) for task in collect("one.csv")] == ["out/a"]


def test_one_video_with_two_masks(here):
    (here / "twice.csv").write_text("video,mask,out\nclips/a.mp4,1.png,x\nclips/a.mp4,2.png,y\n")
    assert [(task.mask, str(task.out)) for task in collect("twice.csv", mask=None, out=None)] == [
        ("1.png", "x"),
        ("2.png", "y"),
    ]


def test_a_manifest_may_name_what_is_not_there(here):
    (here / "gone.csv").write_text("video,mask,out\nnone.mp4,1.png,x\n")
    assert [str(task.video) for task in collect("gone.csv")] == ["none.mp4"]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (["clips/a.mp4", "other/a.mp4"], {}, r"other/a\.mp4: .* share the folder out/a with those of clips/a\.mp4"),
        (["pair"], {}, r"pair/a\.mp4: .* share the folder out/a with those of pair/a\.mov; rename one"),
        (["nest/**/*.mp4"], {}, r"nest/a/b\.mp4: its results in .*out/a/b would lie among those of nest/a\.mp4"),
        (["clips/a.mp4"], {"mask": None}, r"clips/a\.mp4: no mask; say where it is with --mask"),
        (["clips/a.mp4"], {"out": None}, r"clips/a\.mp4: nowhere to put results; give --out"),
        (["jobs.csv"], {"mask": None}, r"jobs\.csv, line 3: no mask"),
        (["jobs.csv"], {"out": None}, r"jobs\.csv, line 3: nowhere to put results"),
        (["none.csv"], {}, r"cannot read none\.csv"),
    ],
)
def test_what_makes_no_sense_is_one_line(given, options, message):
    with pytest.raises(ConfigError, match=message):
        collect(*given, **options)


def test_two_rows_with_one_folder(here):
    (here / "two.csv").write_text("video,mask,out\na.mp4,a.png,x\nb.mp4,b.png,clips/../x\n")
    with pytest.raises(ConfigError, match=r"two\.csv, line 3: its results would share the folder .*two\.csv, line 2"):
        collect("two.csv")


def test_what_matches_nothing():
    with pytest.raises(InputError, match=r"nothing/\*\.mp4: no match"):
        collect("clips/a.mp4", "nothing/*.mp4")


@pytest.mark.parametrize("given", [["f/0.png", "f/1.png", "f/2.png"], ["f/0.png", "clips/a.mp4"]])
def test_frames_that_the_shell_has_listed_are_not_a_video_each(here, given):
    for name in ("f/0.png", "f/1.png", "f/2.png"):
        (here / "f").mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(here / name)
    with pytest.raises(ConfigError, match=r"f/0\.png: an image, \d of \d videos are; .* give their folder, f$"):
        collect(*given)
    # One image, and images that a source of a plugin takes, are what they are named as
    assert len(collect("f/0.png")) == 1
    assert len(collect_tasks(given, mask="m", out=Path("out"), takes_text=lambda source, text: True)) == len(given)


def test_animations_are_videos(here):
    pictures = [Image.new("L", (4, 4), level) for level in (0, 200)]
    for name in ("one.png", "two.png"):
        pictures[0].save(here / name, save_all=True, append_images=pictures[1:])
    assert len(collect("one.png", "two.png")) == 2
