"""Weights that load but cannot be computed with, and files that have no end or no plain values."""

import zipfile

import pytest
import torch
from safetensors.torch import save_file
from stand_ins.builder import save, small_builder
from stand_ins.lite import tiny_lite
from stand_ins.model import square_model

from persam_hq.build.lite import load_lite
from persam_hq.checkpoint import read_checkpoint
from persam_hq.checkpoint.averaging import average_weights
from persam_hq.checkpoint.files import read_file
from persam_hq.checkpoint.soundness import misfits, refuse_bad_values
from persam_hq.checkpoint.unwrap import unwrap
from persam_hq.errors import CheckpointError, MisfitError, MissingCheckpointError

BAD = (float("nan"), float("inf"), -float("inf"))


def changed(value, *, bad, index=-1):
    """A copy with one bad value."""
    value = value.clone()
    value.view(-1)[index] = bad
    return value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("index", [0, 500, -1])
def test_one_bad_value_is_found(tmp_path, dtype, bad, index):
    tensors = {"fine": torch.ones(3), "bad": changed(torch.zeros(10, 100, dtype=dtype), bad=bad, index=index)}
    with pytest.raises(MisfitError, match=r"w.pth holds NaN or infinite values in 1 of 2 tensors: bad; did its"):
        refuse_bad_values(tensors, tmp_path / "w.pth")


def test_what_only_a_wider_float_holds_is_infinite(tmp_path):
    with pytest.raises(MisfitError, match="NaN or infinite"):
        refuse_bad_values({"wide": torch.full((3,), 1e300, dtype=torch.float64)}, tmp_path / "w")


@pytest.mark.parametrize(
    "fine",
    [
        torch.zeros(0),
        torch.full((2, 2), torch.finfo(torch.float32).max),
        torch.tensor(1.5),
        torch.arange(3),
        torch.ones(3).to(torch.float8_e4m3fn),
        torch.full((3,), 6e-8, dtype=torch.float16),
    ],
)
def test_finite_values_pass(tmp_path, fine):
    assert refuse_bad_values({"fine": fine}, tmp_path / "w") is None


@pytest.mark.parametrize(("hq", "bad"), [(True, BAD[0]), (False, BAD[1])])
def test_a_model_is_not_built_from_bad_values(tmp_path, hq, bad):
    state = square_model(hq=hq).state_dict()
    key = "mask_decoder.iou_prediction_head.layers.2.bias"
    path = save(state | {key: changed(state[key], bad=bad)}, tmp_path / "w.pth")
    with pytest.raises(MisfitError, match=f"NaN or infinite values in 1 of {len(state)} tensors: {key}"):
        small_builder()(path)


def test_bad_hq_parts_do_no_harm_where_they_are_left_out(tmp_path):
    state = square_model(hq=True).state_dict()
    key = "mask_decoder.hf_token.weight"
    path = save(state | {key: changed(state[key], bad=BAD[0])}, tmp_path / "w.pth")
    with pytest.raises(MisfitError, match=key):
        small_builder()(path)
    assert not small_builder()(path, hq=False).has_hq


@pytest.mark.parametrize("bad", BAD[:2])
def test_lite_refuses_bad_values(tmp_path, bad):
    state = {name: value.half().contiguous() for name, value in tiny_lite().state_dict().items()}
    state["prompt_encoder.no_mask_embed.weight"] = changed(state["prompt_encoder.no_mask_embed.weight"], bad=bad)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(MisfitError, match=r"in 1 of \d+ tensors: prompt_encoder.no_mask_embed.weight"):
        load_lite(tiny_lite(), tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(2, 3), r"1 of another shape: prompt_encoder.no_mask_embed.weight \(2, 3\), expected \(1, 128\)"),
        (torch.zeros(1, 128, dtype=torch.int8), "1 not of floating point: prompt_encoder.no_mask_embed.weight int8"),
    ],
)
def test_lite_names_shapes_and_kinds_that_do_not_fit(tmp_path, value, message):
    state = {name: value.half().contiguous() for name, value in tiny_lite().state_dict().items()}
    width = state["prompt_encoder.no_mask_embed.weight"].shape[1]
    value = value if value.dtype != torch.int8 else value[:, :width].contiguous()
    save_file(state | {"prompt_encoder.no_mask_embed.weight": value}, tmp_path / "w.safetensors")
    with pytest.raises(MisfitError, match=message.replace("128", str(width))) as caught:
        load_lite(tiny_lite(), tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_an_average_of_bad_values_is_not_made(tmp_path):
    save_file({"a": torch.zeros(3)}, tmp_path / "first.safetensors")
    save_file({"a": torch.full((3,), BAD[0])}, tmp_path / "second.safetensors")
    with pytest.raises(MisfitError, match=r"second.safetensors holds NaN"):
        average_weights(*(tmp_path / f"{name}.safetensors" for name in ("first", "second", "out")), share=0.5)
    assert not (tmp_path / "out.safetensors").exists()


def holds_itself():
    loaded = {"epoch": 1}
    loaded["model"] = loaded
    return loaded


def in_a_circle():
    inner, outer = {"epoch": 1}, {"epoch": 2}
    inner["state_dict"], outer["model"] = outer, inner
    return outer


def nested(depth):
    loaded = {"a": torch.zeros(1)}
    for _ in range(depth):
        loaded = {"model": loaded, "epoch": 1}
    return loaded


@pytest.mark.parametrize("make", [holds_itself, in_a_circle, lambda: nested(20), lambda: nested(50_000)])
@pytest.mark.timeout(30)
def test_what_has_no_end_is_refused(tmp_path, make):
    with pytest.raises(CheckpointError, match=r"w.pth holds mappings in mappings more than 16 deep \(model > "):
        unwrap(make(), tmp_path / "w.pth")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [holds_itself, in_a_circle])
def test_a_file_that_holds_itself_ends_with_a_line(tmp_path, make):
    torch.save(make(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="more than 16 deep"):
        read_checkpoint(tmp_path / "w.pth")


def test_what_trainers_nest_is_found():
    assert list(unwrap(nested(15), "w")[0]) == ["a"]


@pytest.mark.parametrize("key", [10**5000, (1, (2, 3)), 1.5, None], ids=["long", "tuple", "float", "none"])
def test_keys_that_are_no_names(tmp_path, key):
    with pytest.raises(CheckpointError, match=f"what is under a {type(key).__name__} are no tensors"):
        unwrap({key: 1}, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(1).expand(100_000, 100_000), "holds a as repeated values"),
        (torch.eye(3).to_sparse(), "holds a sparse"),
        (torch.empty(3, device="meta"), "holds a without values"),
    ],
)
def test_tensors_without_values_of_their_own(tmp_path, value, message):
    torch.save({"a": value}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        unwrap(read_file(tmp_path / "w.pth"), tmp_path / "w.pth")


def test_a_compressed_file_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"cannot read .*w.pth: it is a compressed zip file; unpack it"):
        read_file(tmp_path / "w.pth")


SCALARS = ["image_encoder.pos_embed", "mask_decoder.compress_vit_feat.0.weight", "mask_decoder.iou_token.weight"]


@pytest.mark.parametrize("key", SCALARS)
@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.zeros(0), torch.zeros(1, 0, 0, 32), torch.zeros(3)])
def test_shapes_that_no_model_has(tmp_path, key, value):
    state = square_model(hq=True).state_dict()
    path = save(state | {key: value}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth") as caught:
        small_builder()(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.zeros(7), torch.zeros(11, 3), torch.zeros(0, 16)])
def test_position_tables_of_other_shapes_are_named_where_grids_are_resized(tmp_path, value):
    key = "image_encoder.blocks.1.attn.rel_pos_h"
    state = square_model(hq=False, side=96).state_dict()
    path = save(state | {key: value}, tmp_path / "w.pth")
    with pytest.raises(MisfitError, match=f"of another shape: {key}"):
        small_builder()(path, image_size=64)


def test_misfits_of_each_kind_by_name():
    expected = {"a": torch.zeros(2), "b": torch.zeros(3), "c": torch.zeros(1), "n": torch.tensor(0)}
    found = misfits(
        {"b": torch.zeros(4), "c": torch.ones(1, dtype=torch.int8), "n": torch.tensor(1), "x": torch.ones(1)}, expected
    )
    assert found == [
        "1 missing: a",
        "1 not part of the model: x",
        "1 of another shape: b (4,), expected (3,)",
        "1 not of floating point: c int8",
    ]
    assert misfits(expected, expected) == []


def test_errors_are_also_those_that_scripts_expect(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file") as missing:
        read_file(tmp_path / "none.pth")
    assert isinstance(missing.value, MissingCheckpointError)
    path = save(square_model(hq=False).state_dict() | {"prompt_encoder.x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(RuntimeError, match="1 not part of the model"):
        small_builder()(path)
