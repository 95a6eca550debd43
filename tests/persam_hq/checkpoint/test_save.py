"""Weights are written beside what somebody put in their place, never through it."""

import os

import pytest
import torch
from safetensors.torch import load_file

from persam_hq.checkpoint.save import write_safetensors
from persam_hq.errors import CheckpointError
from persam_hq.io.atomic import part_path


@pytest.mark.parametrize("planted", ["weights", "part", "part to nothing"])
def test_links_are_replaced(tmp_path, planted):
    path, theirs = tmp_path / "run" / "ema.safetensors", tmp_path / "theirs"
    path.parent.mkdir()
    if planted != "part to nothing":
        theirs.write_text("theirs")
    (path if planted == "weights" else part_path(path)).symlink_to(theirs)
    write_safetensors({"a": torch.ones(2)}, path, metadata={"step": "1"})
    assert load_file(path)["a"].tolist() == [1, 1]
    assert not path.is_symlink()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert (theirs.read_text() if theirs.exists() else None) == (None if planted == "part to nothing" else "theirs")


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "ema.safetensors"
    os.mkfifo(part_path(path))
    write_safetensors({"a": torch.ones(2)}, path, metadata=None)
    assert load_file(path)["a"].tolist() == [1, 1]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"^cannot write .*ema\.safetensors: "):
        write_safetensors({"a": torch.ones(2)}, tmp_path / "gone" / "ema.safetensors", metadata=None)
