"""The commands as a user sees them: output, files and exit codes."""

import csv
import json
import re
import sys
from importlib import metadata

import numpy as np
import pytest
from PIL import Image
from stand_ins.tracker import GREEN, RED

from persamhq_video.cli import main
from persamhq_video.cli.main import build_parser

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def command(clip, mask, out):
    """A run that works, as a dictionary of its parts."""
    return {"video": clip, "--mask": mask, "--out": out, "--executor": "inline"}


def run(command, *more):
    video, *options = command.values()
    videos = video if isinstance(video, list) else [video]
    flat = [part for name, value in zip(list(command)[1:], options, strict=True) for part in (name, value)]
    try:
        return main(["run", *map(str, [*videos, *flat, *more])])
    except SystemExit as exc:
        return exc.code


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


def _no_frames(tmp_path):
    (tmp_path / "empty").mkdir()
    return {"video": tmp_path / "empty"}


def _text_video(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    return {"video": tmp_path / "text.mp4"}


def _save_mask(tmp_path, labels):
    Image.fromarray(labels).save(tmp_path / "other.png")
    return {"--mask": tmp_path / "other.png"}


def _two_sizes(tmp_path):
    folder = tmp_path / "sizes"
    folder.mkdir()
    for index in (1, 2):
        Image.new("RGB", (64, 36 * index)).save(folder / f"{index}.png")
    return {"video": folder}


def _file_as_out(tmp_path):
    (tmp_path / "file").write_text("")
    return {"--out": tmp_path / "file"}


def _foreign_out(tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "overlay.mp4").write_text("mine")
    return {"--out": tmp_path / "foreign"}


def _plugin(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    return {"--plugin": tmp_path / "mine.py"}


HOOKIMPL = "from persamhq_video.plugin import hookimpl\n@hookimpl"
DOUBLE = f"{HOOKIMPL}\ndef persamhq_register_mask_refiners(register): register.add('cascade', int)"

REFUSED = {
    "missing video": (lambda t: {"video": t / "none.mp4"}, "none.mp4: no such file or folder"),
    "text named mp4": (_text_video, "text.mp4"),
    "folder without frames": (_no_frames, "no frames in it"),
    "frames of two sizes": (_two_sizes, "give frames of one size"),
    "missing mask": (lambda t: {"--mask": t / "none.png"}, "none.png: no such mask"),
    "mask of another size": (lambda t: _save_mask(t, np.ones((9, 9), np.uint8)), "9x9"),
    "empty mask": (lambda t: _save_mask(t, np.zeros((36, 64), np.uint8)), "the mask is empty"),
    "unknown model": (lambda t: {"--model": "sam9"}, "argument --model: invalid choice: 'sam9'"),
    "unknown selector": (lambda t: {"--prompts": "persam_vidio"}, "did you mean 'persam_video'?); known: "),
    "unknown refiner": (lambda t: {"--refine": "casc"}, "unknown mask refiner 'casc'"),
    "option of the wrong type": (
        lambda t: {"--prompts": "top_k_points:num_positive=few"},
        "got 'few'; input",
    ),
    "unknown option of a selector": (lambda t: {"--prompts": "top_k_points:k=2"}, "has no option 'k'; it has: num_pos"),
    "plugin with a syntax error": (lambda t: _plugin(t, "def f(:"), "mine.py cannot be loaded: SyntaxError in line 1"),
    "wrong argument of a hook": (
        lambda t: _plugin(t, f"{HOOKIMPL}\ndef persamhq_register_mask_refiners(registry): ..."),
        "asks persamhq_register_mask_refiners for the argument 'registry' (did you mean 'register'?)",
    ),
    "a name that is taken": (
        lambda t: _plugin(t, DOUBLE),
        "the mask refiner 'cascade' is registered twice: by ",
    ),
    "blocked and needed": (lambda t: {"--block-plugin": "no_such"}, "cannot block the plugin 'no_such'"),
    "missing plugin": (lambda t: {"--plugin": t / "none.py"}, "cannot read the plugin"),
    "missing module": (lambda t: {"--plugin": "no_such_module"}, "there is no module"),
    "unknown output": (
        lambda t: {"--outputs": "masks,holograms"},
        "option outputs: unknown result sink 'holograms'; known: alpha",
    ),
    "no output": (lambda t: {"--outputs": ","}, "option outputs: got nothing"),
    "wrong number": (lambda t: {"--workers": "0"}, "option workers: got '0'"),
    "start beyond the end": (lambda t: {"--start": "99"}, "got start 99, expected 0 to 11"),
    "unknown option": (lambda t: {"--strides": "2"}, "unrecognized arguments: --strides 2"),
    "missing configuration": (lambda t: {"--config": t / "none.yaml"}, "cannot read the configuration"),
    "out is a file": (_file_as_out, "is a file; give a folder"),
    "foreign files in out": (_foreign_out, "no run wrote it"),
    "address inline": (lambda t: {"--address": "auto"}, "no use for an address"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_with_nothing_written(case, command, tmp_path, capsys):
    change, message = REFUSED[case]
    changed = {**command, **change(tmp_path)}
    out = changed["--out"]
    before = sorted(out.rglob("*")) if out.is_dir() else None

    assert run(changed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("persamhq-video: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert (sorted(out.rglob("*")) if out.is_dir() else None) == before


def test_an_unexpected_error_is_one_line_too(command, monkeypatch, capsys):
    monkeypatch.setattr("persamhq_video.pipeline.run.make_job", lambda config: 1 / 0)
    assert run(command) == 3
    assert "ZeroDivisionError: division by zero (set PERSAMHQ_TRACEBACK=1" in capsys.readouterr().err
    monkeypatch.setenv("PERSAMHQ_TRACEBACK", "1")
    run(command)
    assert "Traceback" in capsys.readouterr().err


class TestHelp:
    def test_no_arguments(self, capsys):
        assert main([]) == 0
        assert "usage: persamhq-video" in capsys.readouterr().out

    def test_every_option_of_a_run_has_a_flag(self):
        from persamhq_video.config import RunConfig

        run_parser = build_parser()._subparsers._group_actions[0].choices["run"]
        flags = {action.dest for action in run_parser._actions}
        assert set(RunConfig.model_fields) <= flags

    def test_nothing_heavy_is_imported_for_help(self):
        import subprocess

        code = "import sys; from persamhq_video.cli.main import build_parser; build_parser(); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert not {"torch", "ray", "av", "cv2"} & set(done.stdout.split())


class TestPlugins:
    def test_list(self, plugin_file, capsys):
        assert main(["plugins", "list", "--plugin", str(plugin_file)]) == 0
        printed = capsys.readouterr().out
        assert "A selector of a single file.  [my_plugin.py]" in printed
        assert "cascade" in printed

    def test_show(self, plugin_file, capsys):
        assert main(["plugins", "show", "mine", "--plugin", str(plugin_file)]) == 0
        assert capsys.readouterr().out.startswith("mine: prompt selector of the plugin my_plugin.py\n")

    def test_show_an_unknown_one(self, capsys):
        assert main(["plugins", "show", "nobody"]) == 2
        assert "no strategy is named 'nobody'; known: " in capsys.readouterr().err

    def test_show_options(self, capsys):
        assert main(["plugins", "show", "top_k_points"]) == 0
        assert re.search(r"options:\n  num_positive +integer.* +default 1", capsys.readouterr().out)

    def test_show_without_options(self, capsys):
        assert main(["plugins", "show", "dense_prior"]) == 0
        assert capsys.readouterr().out.endswith("options: none\n")

    def test_block(self, capsys):
        assert main(["plugins", "list", "--block-plugin", "persamhq_plugins.nothing"]) == 2
        assert "cannot block the plugin 'persamhq_plugins.nothing'" in capsys.readouterr().err

    def test_new(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["plugins", "new", "my_strategy"]) == 0
        printed = capsys.readouterr().out
        assert "my_strategy/my_strategy/strategy.py" in printed
        assert f"next: pip install {tmp_path / 'my_strategy'}" in printed


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for topic in ("python", "cores", "GPUs", "torch", "libavcodec", "weights of lite"):
        assert topic in printed


def _row(table, sequence):
    return next(line for line in table.splitlines() if line.startswith(sequence)).split()[1:]


@pytest.mark.usefixtures("baselines")
class TestEvaluate:
    def test_tables_and_predictions(self, davis, out, capsys):
        assert main(["evaluate", "davis", str(davis), "--out", str(out), "--executor", "inline", "--quiet"]) == 0
        printed = capsys.readouterr().out
        every_measure, side_by_side, confidence = printed.split("\n\n")
        assert every_measure.split()[:2] == ["lite", "auto"]
        headings = ["J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay"]
        assert _row(every_measure, "sequence") == headings
        names = ["lite auto", "first mask copied", "similarity prior alone"]
        assert re.findall(r"\w+(?: \w+)+", side_by_side)[:3] == names
        assert confidence.startswith("confidence against J (first and last frame left out)\n")
        assert sorted(path.name for path in out.iterdir()) == [
            "confidence.csv",
            "first-mask-copied.csv",
            "lite-auto.csv",
            "predictions",
            "similarity-prior-alone.csv",
            "worst",
        ]
        assert sorted(path.name for path in (out / "worst").iterdir()) == ["camel.jpg", "goat.jpg"]
        assert len(list((out / "predictions" / "goat").iterdir())) == 5
        assert (out / "first-mask-copied.csv").read_text().splitlines()[-1].startswith("mean,4,6,1.000000")

        tracked = _row(printed, "goat")
        arguments = ["evaluate", "davis", str(davis), "--predictions", str(out / "predictions"), "--score-only"]
        assert main([*arguments, "--sequences", "goat"]) == 0
        again = capsys.readouterr().out
        assert "camel" not in again
        assert "confidence" not in again
        assert _row(again, "goat")[:2] == tracked[:2]

    def test_confidence(self, davis, out, capsys):
        assert main(["evaluate", "davis", str(davis), "--out", str(out), "--executor", "inline", "--quiet"]) == 0
        every_measure, _, confidence = capsys.readouterr().out.split("\n\n")
        with (out / "confidence.csv").open(newline="") as file:
            rows = {row["sequence"]: row for row in csv.DictReader(file)}
        assert list(rows) == ["camel", "goat", "mean"]
        for name, row in rows.items():
            # The stand-in is sure of everything, so its score is always the same.
            j = float(row["J"])
            assert 0 < j < 1
            assert _row(every_measure, name)[1] == f"{100 * j:.1f}"
            assert _row(confidence, name) == ["100.0", f"{100 * j:.1f}", f"{100 - 100 * j:+.1f}", "-", "0.0"]
            assert float(row["gap"]) == pytest.approx(1 - j, abs=2e-6)
            assert (row["score"], row["correlation"]) == ("1.000000", "")

    def test_pictures_of_what_was_written_earlier(self, davis, out, tmp_path):
        arguments = ["evaluate", "davis", str(davis), "--executor", "inline", "--quiet", "--predictions", str(out)]
        assert main(arguments) == 0
        assert not (out / "worst").exists()
        assert main([*arguments, "--score-only", "--out", str(tmp_path / "again")]) == 0
        assert len(list((tmp_path / "again" / "worst").glob("*.jpg"))) == 2
        assert not (tmp_path / "again" / "confidence.csv").exists()

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--sequences", "llama"], "no annotated sequence 'llama'"),
            (["--score-only"], "say where they are with --predictions"),
            (["--model", "vit_b", "--prompts", "nobody"], "unknown prompt selector 'nobody'"),
            (["--start", "1"], "got start 1, but sequences are scored whole; leave it out"),
            (["--end", "3"], "got end 3, but sequences are scored whole; leave it out"),
            (["--stride", "2"], "got stride 2, but sequences are scored whole; leave it out"),
        ],
    )
    def test_refusals(self, davis, more, message, capsys):
        assert main(["evaluate", "davis", str(davis), *more]) == 2
        assert message in capsys.readouterr().err

    def test_no_such_root(self, tmp_path, capsys):
        assert main(["evaluate", "davis", str(tmp_path / "none")]) == 2
        assert "has no folder" in capsys.readouterr().err


class TestDemo:
    def test_its_files(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "movie.mp4").write_bytes(b"a clip")
        monkeypatch.setattr("persamhq_video.cli.demo.find_clip", lambda: tmp_path / "movie.mp4")
        assert main(["demo", "--files", str(tmp_path / "sample")]) == 0
        names = {path.name for path in (tmp_path / "sample").iterdir()}
        assert names == {"clip.mp4", *(f"mask_{frame:03d}.png" for frame in (0, 40, 70, 100, 130))}
        assert "masks of its frames 0, 40, 70, 100, 130" in capsys.readouterr().out

    def test_a_place_for_its_files_that_is_a_file(self, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        assert main(["demo", "--files", str(tmp_path / "file")]) == 3
        assert "cannot write to" in capsys.readouterr().err

    def test_without_the_package(self, out, monkeypatch, capsys):
        def missing(name):
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr("importlib.metadata.files", missing)
        assert main(["demo", "--out", str(out)]) == 2
        assert "pip install 'persam-hq-video[demo]'" in capsys.readouterr().err
        assert not out.exists()

    @pytest.mark.slow
    @pytest.mark.usefixtures("ray_cluster")
    @pytest.mark.usefixtures("small_movie")
    @pytest.mark.parametrize("more", [[], ["--hard"]])
    def test_on_a_small_clip(self, more, mask, out, monkeypatch, capsys):
        monkeypatch.setattr("persamhq_video.cli.demo._mask", lambda frame: mask)
        assert main(["demo", "--out", str(out), *more]) == 0
        printed = capsys.readouterr().out
        for frame in (70, 100, 130):
            assert re.search(rf"frame {frame}: IoU with the mask drawn by hand [01]\.\d{{3}}\n", printed)
        assert json.loads((out / "run.json").read_text())["config"]["executor"] == "ray"


@pytest.fixture
def small_movie(tmp_path, monkeypatch):
    """132 frames, as many as the demo's clip has."""
    import av

    path = tmp_path / "movie.mp4"
    generator = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for _ in range(132):
            image = generator.integers(0, 255, (36, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    monkeypatch.setattr("persamhq_video.cli.demo.find_clip", lambda: path)
