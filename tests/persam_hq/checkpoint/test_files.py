import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from persam_hq.checkpoint.files import HUB_NAME, read_file
from persam_hq.errors import CheckpointError

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


def save_legacy(tensors, path):
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (torch.save, "w.pth"),
        (torch.save, "w.pt"),
        (torch.save, "w.bin"),
        (save_legacy, "w.pth"),
        (save_file, "w.safetensors"),
        (save_file, "named_wrongly.pth"),
    ],
)
def test_formats_are_told_by_their_content(tmp_path, save, name):
    save(STATE, tmp_path / name)
    found = read_file(tmp_path / name)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], value) for key, value in STATE.items())


@pytest.mark.parametrize(("save", "name"), [(torch.save, "w.pth"), (save_file, "w.safetensors")])
def test_writing_to_a_tensor_does_not_change_the_file(tmp_path, save, name):
    save(STATE, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    read_file(tmp_path / name)["a"].zero_()
    assert (tmp_path / name).read_bytes() == before
    assert torch.equal(read_file(tmp_path / name)["a"], STATE["a"])


def test_a_folder_of_hugging_face(tmp_path):
    save_file(STATE, tmp_path / HUB_NAME)
    assert torch.equal(read_file(tmp_path)["a"], STATE["a"])


def test_another_folder(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"it is a folder without model\.safetensors; name the weights file itself"
    ):
        read_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pth", b"", "cannot read .*empty.pth: it is empty; download or copy it again"),
        ("empty.safetensors", b"", "it is empty"),
        (
            "p.pth",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "it is a Git LFS pointer, not the weights",
        ),
        ("p.pth", b"<!DOCTYPE html><html>", "it is a web page, not weights; download the file itself"),
        ("p.pth", b"\n<html lang=en>", "it is a web page"),
        ("p.pth", b"not weights", "cannot read .*p.pth as a torch weights file: .*"),
        ("p.safetensors", b"not weights", "as safetensors: .*; is it cut short"),
        ("p.pth", b"PK\x03\x04" + bytes(200), "it is a torch file cut short; download or copy it again"),
    ],
)
def test_what_is_no_weights_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_file(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "none/absent.pth"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"cannot read .*absent.*: No such file or directory; give the path"):
        read_file(tmp_path / name)


class Code:
    """Nothing that a weights file may hold."""


@pytest.mark.parametrize("save", [torch.save, save_legacy])
def test_code_in_a_file_is_not_run(tmp_path, save):
    save({"a": Code()}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match=r"it holds \S*Code, which is code, and only tensors are read") as caught:
        read_file(tmp_path / "code.pth")
    assert "\n" not in str(caught.value)


def test_a_program_of_torchscript_is_refused(tmp_path):
    program = zipfile.ZipFile(tmp_path / "program.pt", "w")
    with program:
        program.writestr("program/constants.pkl", b"")
        program.writestr("program/data.pkl", b"")
        program.writestr("program/version", b"3")
    with pytest.raises(CheckpointError, match="it is a program of TorchScript, and only tensors are read; save"):
        read_file(tmp_path / "program.pt")


def test_a_pickle_of_arrays_is_refused(tmp_path):
    (tmp_path / "arrays.pkl").write_bytes(pickle.dumps({"a": np.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"cannot read .*arrays.pkl as a torch weights file: \w+"):
        read_file(tmp_path / "arrays.pkl")


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"it holds torch.nn.modules.linear.Linear, which is code"):
        read_file(tmp_path / "module.pth")
