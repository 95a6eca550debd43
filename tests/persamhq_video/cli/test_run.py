"""`persamhq-video run` as a user sees it: output, files and exit codes."""

import json

import pytest
from stand_ins.command import run
from stand_ins.tracker import GREEN, RED

from persamhq_video.cli import main

pytestmark = pytest.mark.usefixtures("stand_in")


class TestRun:
    def test_a_run(self, command, out, capsys):
        assert run(command) == 0
        assert capsys.readouterr().out == f"results in {out}\n"
        assert json.loads((out / "run.json").read_text())["status"] == "complete"

    @pytest.mark.parametrize("form", ["{flag} {path}", "{flag}={path}"])
    def test_home_where_no_shell_has_put_it(self, form, clip, mask, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(clip.parent)
        paths = {"--mask": mask.rename(tmp_path / "mask in home.png"), "--out": tmp_path / "out"}
        words = [form.format(flag=flag, path=f"~/{path.name}") for flag, path in paths.items()]
        flags = [part for word in words for part in ([word] if "=" in word else word.split(" ", 1))]
        assert main(["run", str(clip), *flags, "--executor", "inline"]) == 0
        assert (tmp_path / "out" / "run.json").exists()

    def test_a_second_run_says_so(self, command, capsys):
        run(command, "--quiet")
        assert run(command) == 0
        assert "holds this run already, complete" in capsys.readouterr().err

    def test_progress(self, command, capsys):
        run(command)
        error = capsys.readouterr().err
        assert "clip" in error
        assert "12/12" in error
        assert "frames/s" in error

    def test_quiet(self, command, capsys):
        assert run(command, "--quiet") == 0
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("flags", [[], ["--quiet"], ["--json"]])
    @pytest.mark.parametrize("is_one_of_two", [False, True])
    def test_notes_on_inputs_are_a_line_each(self, command, make_clip, flags, is_one_of_two, capsys):
        (command["video"] / "backdrop.png").write_bytes((command["video"] / "f000.png").read_bytes())
        if is_one_of_two:
            command = {**command, "video": [command["video"], make_clip("other")]}
        assert run(command, *flags) == 0
        printed = capsys.readouterr()
        said = "backdrop.png: has no number as the other frames have"
        if "--json" in flags:
            (note,) = [event for line in printed.out.splitlines() if (event := json.loads(line))["event"] == "note"]
            assert said in note["message"]
        else:
            (line,) = [line for line in printed.err.splitlines() if said in line]
            assert "persamhq-video: note: " in line

    def test_json_events(self, command, capsys):
        assert run(command, "--json") == 0
        printed = capsys.readouterr()
        events = [json.loads(line) for line in printed.out.splitlines()]
        assert printed.err == ""
        assert [event["event"] for event in events] == ["started", *["frame"] * 12, "complete"]
        assert set(events[-2]) == {"event", "video", "frame", "frames", "fps", "eta_s"}

    def test_a_file_and_flags(self, command, out, tmp_path):
        (tmp_path / "run.yaml").write_text("stride: 2\noutputs: [scores]\n")
        assert run(command, "--config", tmp_path / "run.yaml", "--stride", "3", "--refine", "none") == 0
        record = json.loads((out / "run.json").read_text())
        assert record["frames"]["committed"] == 4
        assert record["files"] == ["scores.csv"]
        assert record["config"]["refine"] == []

    def test_several_videos_of_which_one_fails(self, command, make_clip, out, capsys):
        good, bad = make_clip("good"), make_clip("bad", trap=RED)
        assert run({**command, "video": [bad, good]}, "--quiet") == 3
        assert capsys.readouterr().err.startswith(f"persamhq-video: error: {bad}: frame 5: track failed: RuntimeError")
        assert (out / "good" / "run.json").exists()

    def test_a_video_that_fails(self, command, make_clip, capsys):
        assert run({**command, "video": make_clip("bad", trap=RED)}, "--quiet") == 3
        assert capsys.readouterr().err.startswith("persamhq-video: error: frame 5: track failed: RuntimeError")

    def test_an_interrupt(self, command, make_clip, capsys):
        assert run({**command, "video": make_clip("long", trap=GREEN)}, "--quiet") == 130
        assert capsys.readouterr().err == "persamhq-video: interrupted; the same command again goes on from here\n"
