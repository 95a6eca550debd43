import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from persam_hq.checkpoint.averaging import average_weights
from persam_hq.cli.main import main
from persam_hq.errors import CheckpointError, InputError


@pytest.fixture
def files(tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_file({"a": torch.tensor([0.0, 2.0]), "b": torch.ones(1)}, first, metadata={"step": "1"})
    save_file({"a": torch.tensor([4.0, 2.0]).half(), "b": torch.zeros(1)}, second, metadata={"step": "2"})
    return first, second


def test_the_mean_of_two_files(files, tmp_path):
    average_weights(*files, tmp_path / "out.safetensors", share=0.25)
    got = load_file(tmp_path / "out.safetensors")
    assert got["a"].tolist() == [1, 2]
    assert got["a"].dtype == torch.float16
    assert got["b"].tolist() == [0.75]
    with safe_open(tmp_path / "out.safetensors", framework="pt") as opened:
        assert opened.metadata() == {"step": "2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "first.safetensors",
        "out.safetensors",
        "second.safetensors",
    ]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_a_share(files, tmp_path, share):
    with pytest.raises(InputError, match=r"got a share of .*; expected 0"):
        average_weights(*files, tmp_path / "out.safetensors", share=share)


def test_other_models_and_other_files_are_refused(files, tmp_path):
    first, _ = files
    other, text = tmp_path / "other.safetensors", tmp_path / "text.safetensors"
    save_file({"a": torch.zeros(3)}, other)
    text.write_text("no weights")
    with pytest.raises(CheckpointError, match="are not of the same model: a, b differ"):
        average_weights(first, other, tmp_path / "out.safetensors", share=0.5)
    with pytest.raises(CheckpointError, match=r"cannot read .* as safetensors"):
        average_weights(first, text, tmp_path / "out.safetensors", share=0.5)
    assert not (tmp_path / "out.safetensors").exists()


def test_the_command(files, tmp_path, capsys):
    first, second = map(str, files)
    out = tmp_path / "out.safetensors"
    assert main(["checkpoints", "average", first, second, "--share", "0.5", "--out", str(out)]) == 0
    assert load_file(out)["a"].tolist() == [2, 2]
    assert main(["checkpoints", "average", first, second, "--share", "2", "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("persam-hq: error: got a share of 2.0")


def test_a_mean_that_cannot_be_written_is_one_line(files, tmp_path):
    out = tmp_path / "no folder" / "out.safetensors"
    with pytest.raises(CheckpointError, match=r"cannot write .*out\.safetensors: "):
        average_weights(*files, out, share=0.5)
