"""Files as they come from other hands: each loads rightly, or says in one line what is wrong and what to do."""

import argparse

import pytest
import torch
from stand_ins.builder import save, small_builder
from stand_ins.hugging_face_names import TWIN, hugging_face_layout
from stand_ins.model import square_model

from persam_hq.errors import CheckpointError


@pytest.fixture(scope="module")
def plain():
    """Weights that every dtype below can hold."""
    return {key: value.bfloat16().half().float() for key, value in square_model(hq=False).state_dict().items()}


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


class Hook:
    """Code of someone's own."""


def in_half(tensors, dtype=torch.float16):
    return {key: value.to(dtype) for key, value in tensors.items()}


def prefixed(tensors, prefix="module."):
    return {prefix + key: value for key, value in tensors.items()}


def wrapped(tensors, **others):
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {"model": tensors, "optimizer": optimizer, "epoch": 12, **others}


def without(tensors, ending):
    return {key: value for key, value in tensors.items() if not key.endswith(ending)}


def resnet():
    return {"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.bn1.running_mean": torch.zeros(64)}


REFUSED = {
    "cut short, torch": (lambda t, f: cut(save(t, f / "w.pth")), "it is a torch file cut short; download or copy"),
    "cut short, old torch": (lambda t, f: cut(save(t, f / "w.legacy.pth")), "cannot read .* as a torch weights file"),
    "cut short, safetensors": (lambda t, f: cut(save(t, f / "w.safetensors")), "as safetensors: .* cut short"),
    "cut to nothing": (lambda t, f: cut(save(t, f / "w.pth"), share=0), "it is empty"),
    "another architecture": (
        lambda _, f: save(resnet(), f / "w.pth"),
        "not in the layout of SAM.* it has conv1.weight",
    ),
    "another encoder": (
        lambda t, f: save(t | {"image_encoder.pos_embed": torch.zeros(1, 4, 4, 1024)}, f / "w.pth"),
        "holds vit_l, not vit_b; ask for 'vit_l' instead",
    ),
    "an encoder of no known width": (
        lambda t, f: save(t | {"image_encoder.pos_embed": torch.zeros(1, 4, 4, 48)}, f / "w.pth"),
        r"1 of another shape: image_encoder.pos_embed \(1, 4, 4, 48\), expected \(1, 4, 4, 32\)",
    ),
    "code": (lambda t, f: save(t | {"hook": Hook()}, f / "w.pth"), "holds .*Hook, which is code, and only tensors"),
    "arguments of a script": (
        lambda t, f: save(wrapped(t, args=argparse.Namespace(lr=1)), f / "w.pth"),
        "holds argparse.Namespace, which is code, and only tensors are read; save the model's state dict alone",
    ),
    "a whole module": (lambda _, f: save(square_model(hq=False), f / "w.pth"), r"holds .*\.Sam, which is code"),
    "relative positions left out": (
        lambda t, f: save(without(t, ("rel_pos_h", "rel_pos_w")), f / "w.pth"),
        "4 missing: image_encoder.blocks.0.attn.rel_pos_h, image_encoder.blocks.0.attn.rel_pos_w, ",
    ),
    "an adapter more": (
        lambda t, f: save(t | {"image_encoder.blocks.0.Adapter.weight": torch.zeros(2)}, f / "w.pth"),
        "1 not part of the model: image_encoder.blocks.0.Adapter.weight",
    ),
    "windows of another size": (
        lambda t, f: save(t | {"image_encoder.blocks.0.attn.rel_pos_h": torch.zeros(9, 16)}, f / "w.pth"),
        r"image_encoder.blocks.0.attn.rel_pos_h \(9, 16\), expected \(5, 16\)",
    ),
    "no state dict": (lambda _, f: save({"epoch": 3, "loss": 0.5}, f / "w.pth"), "holds no state dict: .* epoch, loss"),
    "two positional encodings": (
        lambda t, f: save(hugging_face_layout(t) | {TWIN: torch.zeros(2, 16)}, f / "w.safetensors"),
        "twice, and they differ",
    ),
}
LOADED = {
    "no HQ parts": lambda t, f: save(t, f / "w.pth"),
    "float16": lambda t, f: save(in_half(t), f / "w.safetensors"),
    "bfloat16": lambda t, f: save(in_half(t, torch.bfloat16), f / "w.pth"),
    "float64": lambda t, f: save(in_half(t, torch.float64), f / "w.pth"),
    "the prefix module.": lambda t, f: save(prefixed(t), f / "w.pth"),
    "compiled, in Lightning": lambda t, f: save({"state_dict": prefixed(t, "model._orig_mod.")}, f / "w.ckpt"),
    "an optimizer state around it": lambda t, f: save(wrapped(t), f / "w.pth"),
    "an optimizer around a prefix": lambda t, f: save(wrapped(prefixed(t)), f / "w.pth"),
    "parameters as such": lambda t, f: save({k: torch.nn.Parameter(v) for k, v in t.items()}, f / "w.pth"),
    "safetensors called .pth": lambda t, f: save(t, f / "w.safetensors").rename(f / "w.pth"),
    "the folder of a hub": lambda t, f: save(hugging_face_layout(t), f / "model.safetensors").parent,
}


@pytest.mark.parametrize(("write", "message"), REFUSED.values(), ids=REFUSED)
def test_is_refused_in_one_line(tmp_path, plain, write, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        small_builder()(write(plain, tmp_path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 400


@pytest.mark.parametrize("write", LOADED.values(), ids=LOADED)
def test_loads_rightly(tmp_path, plain, write):
    model = small_builder()(write(plain, tmp_path))
    for key, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, plain[key]), key
    assert not model.has_hq


def test_hq_that_is_not_there_says_what_to_load(tmp_path, plain):
    path = save(plain, tmp_path / "sam_vit_b.pth")
    message = r"holds SAM without HQ parts .*: load sam_hq_vit_b.pth, or run it in SAM mode with hq=False$"
    with pytest.raises(CheckpointError, match=message):
        small_builder()(path, hq=True)
    assert not small_builder()(path, hq=False).has_hq


@pytest.mark.parametrize(("asked", "side"), [(None, 96), (64, 64), (128, 128), (96, 96)])
def test_another_image_size(tmp_path, asked, side):
    """Unasked, the model is for images as the file is; asked, position embeddings are resized."""
    source = square_model(hq=False, side=96)
    path = save(source.state_dict(), tmp_path / "w.pth")
    model = small_builder()(path, image_size=asked)
    assert model.image_encoder.img_size == side
    embedding, _ = model.image_encoder(torch.zeros(1, 3, side, side))
    assert embedding.shape[-2:] == (side // 16, side // 16)
    same = torch.equal(model.image_encoder.pos_embed, source.image_encoder.pos_embed) if side == 96 else False
    assert same is (side == 96)
