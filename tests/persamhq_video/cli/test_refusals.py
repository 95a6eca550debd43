"""Refusals of `persamhq-video run`: one line, exit code 2, and nothing written."""

import numpy as np
import pytest
from PIL import Image
from stand_ins.command import run

pytestmark = pytest.mark.usefixtures("stand_in")


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
