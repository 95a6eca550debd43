import pytest
from safetensors.torch import save_file

from persam_hq import load_model
from persam_hq.build.lite import build_lite
from persam_hq.errors import CheckpointError, UnknownModelError
from persam_hq.modeling.lite.model import Lite


def test_lite_comes_with_weights():
    model = load_model("lite")
    assert isinstance(model, Lite)
    assert not model.training


def test_lite_takes_other_weights(tmp_path):
    other = build_lite()
    save_file({name: value.contiguous() for name, value in other.state_dict().items()}, tmp_path / "w.safetensors")
    weight = load_model("lite", checkpoint=tmp_path / "w.safetensors").mask_decoder.iou_token.weight
    assert bool((weight == other.mask_decoder.iou_token.weight).all())


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(UnknownModelError, match="unknown model 'vit_x'; known: lite, vit_b"):
        load_model("vit_x")
    with pytest.raises(CheckpointError, match="'vit_b' needs a checkpoint: only lite comes with weights"):
        load_model("vit_b")
    with pytest.raises(CheckpointError, match="cannot read"):
        load_model("vit_b", checkpoint=tmp_path / "none.pth")
