"""A folder that others can write to: links, pipes and files that they left are neither followed nor believed."""

import json
import os

import pytest

from persamhq_video.cli import main
from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError
from persamhq_video.output.run_directory import RunDirectory
from persamhq_video.pipeline.run import run_video

pytestmark = [pytest.mark.usefixtures("stand_in"), pytest.mark.timeout(60)]

INLINE = make_config({"executor": "inline"})
AGAIN = make_config({"executor": "inline", "overwrite": True})


@pytest.fixture
def clip(make_clip):
    return make_clip(frames=4)


@pytest.fixture
def out(tmp_path):
    """The folder of results; `precious` beside it holds files of somebody else."""
    precious = tmp_path / "precious"
    precious.mkdir()
    for name in ("file", "f000.png", "1.mp4", "ledger.jsonl", "00000.packets", "lock", "state-00000001.pt"):
        (precious / name).write_text("mine")
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def untouched(out):
    """Fails where a file of somebody else has changed in the test."""
    precious = out.with_name("precious")
    names = sorted(file.name for file in precious.iterdir())
    yield
    assert sorted(file.name for file in precious.iterdir()) == names
    assert {file.read_text() for file in precious.iterdir()} == {"mine"}


def link(out, name, target="file"):
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(out.with_name("precious") / target)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "name",
    [
        "masks/.f000.png.part",
        ".overlay.mp4.part",
        ".masks.mkv.part",
        "mattes/.1.mp4.part",
        ".scores.csv.part",
        ".run.json.part",
    ],
)
def test_links_named_as_an_unfinished_file(clip, mask, out, name):
    link(out, name)
    run_video(INLINE, clip, mask, out)
    assert name == ".scores.csv.part" or not [file for file in out.rglob("*") if file.is_symlink()]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("masks", "."),
        ("mattes", "."),
        (".persamhq", "."),
        (".persamhq/lock", "lock"),
        (".persamhq/ledger.jsonl", "ledger.jsonl"),
        (".persamhq/files", "file"),
        (".persamhq/segments", "."),
        (".persamhq/segments/masks.mkv", "."),
        (".persamhq/sinks", "."),
        (".persamhq/state-00000001.pt", "state-00000001.pt"),
        ("masks/f000.png", "f000.png"),
        ("masks/f000.png", "none"),
        ("overlay.mp4", "none"),
        ("run.json", "file"),
    ],
)
def test_a_link_in_place_of_what_the_run_has(clip, mask, out, name, target):
    link(out, name, target)
    with pytest.raises(ConfigError, match=r"is a link|no run wrote it|not readable as a run's record"):
        run_video(INLINE, clip, mask, out)
    if name != "run.json":
        with pytest.raises(ConfigError, match=r"is a link|no run wrote it"):
            run_video(AGAIN, clip, mask, out)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("folder", ["masks", "mattes"])
def test_what_is_removed_is_never_elsewhere(clip, mask, out, folder):
    run_video(INLINE, clip, mask, out)
    (out / folder).rename(out / "away")
    link(out, folder, ".")
    for config in (INLINE, AGAIN):
        with pytest.raises(ConfigError, match=rf"{folder} is a link"):
            run_video(config, clip, mask, out)


@pytest.mark.usefixtures("untouched")
def test_a_record_that_names_a_file_in_a_linked_folder(clip, mask, out):
    link(out, "notes", ".")
    (out / "run.json").write_text(json.dumps({"status": "failed", "files": ["notes/file", "", ".", "a\0b", 5]}))
    run_video(AGAIN, clip, mask, out)
    assert (out / "notes").is_symlink()


@pytest.mark.parametrize("name", ["run.json", ".persamhq/ledger.jsonl", ".persamhq/lock", ".persamhq/files"])
def test_a_pipe_is_not_waited_for(clip, mask, out, name):
    (out / name).parent.mkdir(exist_ok=True)
    os.mkfifo(out / name)
    arguments = ["run", str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline", "--quiet"]
    assert main(arguments) in {0, 2, 3}


@pytest.mark.parametrize(
    "content",
    [
        '{"status": "run',
        "[]",
        "{}",
        "[" * 100_000,
        '{"status": "running", "files": null}',
        '{"status": 1, "files": [[]]}',
    ],
)
def test_a_garbled_record_of_an_unfinished_run(make_clip, mask, out, tmp_path, content):
    from stand_ins.tracker import GREEN

    clip = make_clip(trap=GREEN)
    with pytest.raises(KeyboardInterrupt):
        run_video(INLINE, clip, mask, out)
    (out / "run.json").write_text(content)
    with pytest.raises(KeyboardInterrupt):  # it goes on to the frame that interrupts
        run_video(INLINE, clip, mask, out)
    (out / "run.json").write_text(content)
    with pytest.raises(KeyboardInterrupt):
        run_video(AGAIN, clip, mask, out)
    assert sorted(file.name for file in (out / "masks").iterdir()) == [f"f{index:03d}.png" for index in range(5)]


class TestTwoRuns:
    """The one that comes second is refused with exit code 2, and touches nothing of the first."""

    @pytest.mark.parametrize("more", [[], ["--overwrite"], ["--no-resume"]])
    def test_while_the_first_is_at_work(self, clip, mask, out, capsys, more):
        arguments = ["run", str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline", "--quiet"]
        codes = []

        def listen(event):
            if event.event == "frame" and event.frame == 3:
                before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
                codes.append(main([*arguments, *more]))
                assert {name: (out / name).exists() for name in before} == dict.fromkeys(before, True)

        run_video(INLINE, clip, mask, out, listener=listen)
        assert codes == [2]
        assert "is in use by another run" in capsys.readouterr().err

    def test_between_the_look_at_the_folder_and_the_first_file(self, clip, mask, out, capsys, monkeypatch):
        """The first one looks, the second one runs to its end, the first one wants to begin."""
        arguments = ["run", str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline", "--quiet"]
        opened, ran = RunDirectory.open, []

        def run_another_first(self):
            if not ran:
                ran.append(self)
                run_video(INLINE, clip, mask, out)
                ran.append({file: file.read_bytes() for file in out.rglob("*") if file.is_file()})
            opened(self)

        monkeypatch.setattr(RunDirectory, "open", run_another_first)
        assert main(arguments) == 2
        assert "has been used by another run meanwhile; give the command again" in capsys.readouterr().err
        assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == ran[1]
        assert main(arguments) == 0
