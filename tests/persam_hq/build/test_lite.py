from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from stand_ins.lite import tiny_lite

from persam_hq.build.lite import Detail, build_lite, load_lite
from persam_hq.errors import CheckpointError
from persam_hq.modeling.common import FusedLayerNorm2d, LayerNorm2d

HQ_NAMES = {"hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature"}


def names(*, hq):
    with torch.device("meta"):
        return build_lite(hq=hq).state_dict()


def test_its_size():
    millions = sum(value.numel() for value in names(hq=True).values()) / 1e6
    assert millions == pytest.approx(4.302, abs=0.001)
    assert 2 * millions < 40  # megabytes in float16


def test_its_parts_have_the_published_names():
    state = names(hq=True)
    assert {key.split(".")[0] for key in state} == {
        "image_encoder",
        "prompt_encoder",
        "mask_decoder",
        "location_prior",
    }
    decoder = {key.split(".")[1] for key in state if key.startswith("mask_decoder.")}
    assert decoder >= HQ_NAMES | {"transformer", "iou_token", "mask_tokens", "output_upscaling", "presence_head"}
    assert "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix" in state
    assert state["mask_decoder.mask_tokens.weight"].shape == (4, 128)
    assert state["image_encoder.trunk.blocks.15.project.weight"].shape == (320, 1152, 1, 1)


def test_hq_parts_are_built_only_when_asked_for():
    plain, hq = names(hq=False), names(hq=True)
    assert {key.split(".")[1] for key in hq.keys() - plain.keys()} == HQ_NAMES
    assert not plain.keys() - hq.keys()


@pytest.fixture
def weights(tmp_path):
    """A float16 file of the tiny model's weights, as training leaves them."""

    def save(**changes):
        state = {name: value.half().contiguous() for name, value in tiny_lite().state_dict().items()} | changes
        path = tmp_path / "tiny.safetensors"
        save_file({name: value for name, value in state.items() if value is not None}, path)
        return path

    return save


def test_float16_weights_load_as_float32(weights):
    model = tiny_lite()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    load_lite(model, weights())
    for name, value in tiny_lite().state_dict().items():
        assert model.state_dict()[name].dtype == torch.float32
        assert torch.equal(model.state_dict()[name], value.half().float()), name


def test_missing_and_extra_weights_are_named(weights):
    path = weights(stranger=torch.zeros(1), **{"mask_decoder.hf_token.weight": None})
    with pytest.raises(
        CheckpointError, match=r"missing \['mask_decoder.hf_token.weight'\], not expected \['stranger'\]"
    ):
        load_lite(tiny_lite(), path)


def test_a_file_that_is_none_of_safetensors_is_refused(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_text("not weights")
    with pytest.raises(CheckpointError, match=r"cannot read .*notes.safetensors"):
        load_lite(tiny_lite(), path)
    with pytest.raises(CheckpointError, match=r"cannot read .*none.safetensors"):
        load_lite(tiny_lite(), tmp_path / "none.safetensors")


def test_its_norms_are_fused_but_for_those_it_shares_with_sam():
    with torch.device("meta"):
        model = build_lite()
    plain = {name for name, module in model.named_modules() if type(module) is LayerNorm2d}
    assert {name.split(".")[0] for name in plain} == {"prompt_encoder"}
    fused = {name.split(".")[1] for name, module in model.named_modules() if isinstance(module, FusedLayerNorm2d)}
    assert fused >= {"smooth16", "norm4", "output_upscaling", "compress_vit_feat", "embedding_encoder"}


@pytest.mark.parametrize("detail", get_args(Detail))
def test_no_memory_of_later_frames_is_finer_than_what_is_seen(detail):
    with torch.device("meta"):
        geometry = build_lite(detail=detail).geometry
    assert geometry.recent_grid <= 2 * geometry.grid  # a prompt's keys and a result are pooled to it


def test_fine_detail_is_the_same_weights_on_larger_frames_and_finer_grids():
    with torch.device("meta"):
        normal, fine = build_lite(), build_lite(detail="fine")
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (normal, fine)]
    assert shapes[0] == shapes[1]
    assert fine.geometry.grid > normal.geometry.grid
    assert fine.input_frame.largest > normal.input_frame.largest
