import subprocess
import sys

import pytest
from safetensors.torch import save_file
from stand_ins.model import square_model

import persam_hq
from persam_hq.cli.main import main
from persam_hq.errors import InputError
from persam_hq.training import loop


class StandInTraining:
    """Keeps what it was made with, and does in `run` what it was told to."""

    made: list
    behaviour = None

    def __init__(self, config, out, *, report):
        StandInTraining.made.append((config, out))
        self.out, self.report = out, report

    def run(self):
        self.report("step 1")
        if StandInTraining.behaviour is not None:
            StandInTraining.behaviour(self.out)


@pytest.fixture
def training(monkeypatch, tmp_path):
    """`train` makes this, from a configuration that says nothing."""
    monkeypatch.setattr(StandInTraining, "made", [], raising=False)
    monkeypatch.setattr(StandInTraining, "behaviour", None)
    monkeypatch.setattr("persam_hq.training.config.load.load_train_config", lambda path: f"config of {path.name}")
    monkeypatch.setattr("persam_hq.training.start.start_training", StandInTraining)
    monkeypatch.chdir(tmp_path)
    return StandInTraining


@pytest.mark.parametrize(
    ("arguments", "out"), [(["mine/tiny.yaml"], "runs/tiny"), (["mine/tiny.yaml", "--out", "there"], "there")]
)
def test_train_runs_in_the_folder_that_is_named_or_goes_with_the_config(training, capsys, arguments, out):
    assert main(["train", *arguments]) == 0
    ((config, folder),) = training.made
    assert config == "config of tiny.yaml"
    assert str(folder) == out
    assert capsys.readouterr().out == "step 1\n"


def interrupt(_):
    raise KeyboardInterrupt


def save_and_interrupt(out):
    out.mkdir(parents=True)
    (out / loop.STATE_NAME).touch()
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (save_and_interrupt, "runs/tiny/state.pt holds the run up to its last save, and the same command goes on"),
        (interrupt, "interrupted before the first save: there is nothing to go on from"),
    ],
)
def test_an_interrupted_run_says_what_is_saved(training, capsys, behaviour, said):
    training.behaviour = behaviour
    assert main(["train", "tiny.yaml"]) == 130
    assert said in capsys.readouterr().err


def test_an_error_is_one_line(training, capsys):
    def fail(_):
        raise InputError("no photos below here")

    training.behaviour = fail
    assert main(["train", "tiny.yaml"]) == 2
    assert capsys.readouterr().err == "persam-hq: error: no photos below here\n"


def test_a_configuration_that_is_not_there(tmp_path, capsys):
    assert main(["train", str(tmp_path / "none.yaml")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("persam-hq: error: cannot read the training configuration")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("arguments", "shown"), [([], "train"), (["checkpoints"], "inspect")])
def test_without_a_command_there_is_help(capsys, arguments, shown):
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: persam-hq")
    assert shown in out


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["--out=~/there"], "/where/i/live/there"),
        (["--out", "~/there"], "/where/i/live/there"),
        (["--out=a~/b"], "a~/b"),
    ],
)
def test_home_where_no_shell_has_put_it(training, monkeypatch, arguments, out):
    monkeypatch.setenv("HOME", "/where/i/live")
    assert main(["train", "tiny.yaml", *arguments]) == 0
    ((_, folder),) = training.made
    assert str(folder) == out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trane"], "invalid choice: 'trane'"),
        (["segment", "a.jpg", "--out", "x", "--box", "1,2,3"], "'1,2,3' is no box; expected X0,Y0,X1,Y1"),
        (["checkpoints", "averages"], "invalid choice: 'averages'"),
        (["train"], "the following arguments are required: CONFIG (see persam-hq train --help)"),
    ],
)
def test_a_wrong_option_is_said_in_one_line(capsys, arguments, said):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    err = capsys.readouterr().err
    assert err.startswith("persam-hq: error: ")
    assert said in err
    assert err.count("\n") == 1


def test_inspect_says_what_a_checkpoint_holds(tmp_path, capsys):
    path = tmp_path / "small.safetensors"
    save_file({name: value.contiguous() for name, value in square_model(hq=True).state_dict().items()}, path)
    assert main(["checkpoints", "inspect", str(path)]) == 0
    assert "small.safetensors" in capsys.readouterr().out
    assert main(["checkpoints", "inspect", str(tmp_path / "none.pth")]) == 2
    assert "persam-hq: error: cannot read" in capsys.readouterr().err


def test_the_command_is_exported_by_its_package():
    assert persam_hq.cli.main is main


def test_the_command_itself_does_not_need_torch():
    code = "import sys, types; sys.modules['persam_hq'] = package = types.ModuleType('persam_hq')\n"
    code += f"package.__path__ = {list(persam_hq.__path__)!r}\n"
    code += "from persam_hq.cli import main; assert main([]) == 0; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
