import re

import pytest
from stand_ins.builder import save
from stand_ins.hugging_face_names import hugging_face_layout
from stand_ins.model import square_model

from persam_hq.cli import checkpoints as command
from persam_hq.cli.main import main
from persam_hq.hub import PUBLISHED, Cache
from persam_hq.hub import cache as cache_module

FIRST = "as first downloaded, since none is published"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache_module.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list(folder, capsys):
    folder.mkdir()
    (folder / "mobile_sam.pt").write_bytes(b"x")
    assert main(["checkpoints", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * len(PUBLISHED) + 1
    for entry, line, address in zip(PUBLISHED.values(), lines[::3], lines[1::3], strict=False):
        assert line.startswith(entry.name)
        assert entry.licence in line
        assert ("in the cache" in line) is (entry.name == "mobile_sam")
        assert address.strip() == entry.url
    assert lines[-1] == f"sizes are about; the cache is {folder}"


def test_a_download_says_what_it_does(folder, capsys, monkeypatch):
    def stand_in(entry, cache, *, offline, progress, waiting):
        assert (cache, offline) == (Cache(folder), False)
        waiting()
        for done in range(0, 1001, 50):
            progress(done * 10**6, 10**9)
        return cache.path(entry)

    monkeypatch.setattr(command, "download", stand_in)
    assert main(["checkpoints", "download", "sam_vit_h", "hf_sam_vit_base"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"sam_vit_h: about 2.56 GB (Apache-2.0) from {PUBLISHED['sam_vit_h'].url}",
        f"sam_vit_h: {folder / 'sam_vit_h_4b8939.pth'}, SHA-256 as published",
        f"hf_sam_vit_base: about 375 MB (Apache-2.0) from {PUBLISHED['hf_sam_vit_base'].url}",
        f"hf_sam_vit_base: {folder / 'hf_sam_vit_base.safetensors'}, SHA-256 {FIRST}",
    ]
    assert len(err.splitlines()) == 2 * (1 + 11)
    assert err.splitlines()[0] == "sam_vit_h: another process downloads it; waiting for that"
    assert err.splitlines()[6] == "sam_vit_h: 500 of 1000 MB"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["download", "sam_vit_b", "--offline"], "sam_vit_b is not in .*, and the network is switched off"),
        (["download", "sam2"], "no checkpoint is called 'sam2'"),
        (["inspect", "sam_vit_b"], "sam_vit_b is not in .* yet"),
        (["inspect", "none.pth"], "cannot read none.pth: No such file"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_errors_are_one_line(capsys, arguments, said):
    assert main(["checkpoints", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("persam-hq: error: ")
    assert err.count("\n") == 1
    assert re.search(said, err)


def test_an_interrupted_download_says_how_it_goes_on(capsys, monkeypatch, folder):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "download", interrupt)
    assert main(["checkpoints", "download", "mobile_sam"]) == 130
    assert "interrupted; the same command goes on where it stopped" in capsys.readouterr().err


def test_inspect(tmp_path, capsys):
    published = square_model(hq=True).state_dict()
    tensors = hugging_face_layout(published)
    megabytes = sum(value.nbytes for value in published.values()) / 1e6
    path = save({"model": tensors, "optimizer": {}}, tmp_path / "small.pth")
    assert main(["checkpoints", "inspect", str(path)]) == 0
    said = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert {key: value.strip() for key, value in said.items()} == {
        "file": str(path),
        "layout": "transformers",
        "model": "none that is registered",
        "hq parts": "yes",
        "image size": "64",
        "found in": "model",
        "tensors": f"{len(published)}, {megabytes:.1f} MB",
        "dtypes": f"{len(published)} float32",
    }


def test_inspect_a_part_of_a_model(tmp_path, capsys):
    decoder = {
        key.removeprefix("mask_decoder."): value
        for key, value in square_model(hq=False).state_dict().items()
        if key.startswith("mask_decoder.")
    }
    assert main(["checkpoints", "inspect", str(save(decoder, tmp_path / "decoder.pth"))]) == 0
    out = capsys.readouterr().out
    assert "none that is registered; lacks image_encoder and prompt_encoder" in out
    assert "no: it runs in SAM mode" in out
    assert "mask decoder alone" in out
