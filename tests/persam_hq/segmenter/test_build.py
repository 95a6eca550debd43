import pytest
import torch
from safetensors.torch import save_file
from stand_ins.lite import tiny_lite
from stand_ins.model import square_model

from persam_hq.build.lite import embedded_weights
from persam_hq.errors import CheckpointError, UnknownModelError
from persam_hq.segmenter import LiteConfig, LiteSegmenter, SamSegmenter, build_segmenter
from persam_hq.segmenter import build as build_module


def small_lite(*, detail):
    assert detail == "normal"
    return tiny_lite()


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """lite is the tiny model here, and these are its weights."""
    monkeypatch.setattr(build_module, "build_lite", small_lite)
    path = tmp_path / "tiny.safetensors"
    save_file({name: value.half().contiguous() for name, value in tiny_lite().state_dict().items()}, path)
    return path


def test_lite_takes_the_checkpoint_that_is_named(tiny):
    segmenter = build_segmenter("lite", checkpoint=tiny, dtype=torch.bfloat16, published=True)
    assert isinstance(segmenter, LiteSegmenter)
    assert (segmenter.dtype, segmenter.config) == (torch.bfloat16, LiteConfig.published())
    assert not segmenter.model.training


def test_parts_that_are_left_out_are_switched_off(tiny):
    segmenter = build_segmenter("lite", checkpoint=tiny, without=("motion", "second-look"))
    assert segmenter.config == LiteConfig(motion=False, second_look=False)


@pytest.mark.parametrize("use_hq", [True, False])
def test_the_hq_token_is_used_unless_told_otherwise(tiny, monkeypatch, tmp_path, use_hq):
    assert build_segmenter("lite", checkpoint=tiny).use_hq
    assert build_segmenter("lite", checkpoint=tiny, use_hq=use_hq).use_hq == use_hq
    monkeypatch.setattr(build_module, "sam_model_registry", {"vit_b": lambda checkpoint, device: square_model(hq=True)})
    for published in (False, True):
        sam = build_segmenter("vit_b", checkpoint=tmp_path / "b.pth", published=published, use_hq=use_hq)
        assert sam.use_hq == use_hq


def test_lite_takes_the_embedded_weights_where_none_is_named(tiny, monkeypatch):
    monkeypatch.setattr(build_module, "embedded_weights", lambda: tiny)
    assert isinstance(build_segmenter("lite"), LiteSegmenter)
    assert embedded_weights().name == "lite.safetensors"


@pytest.mark.parametrize(
    ("published", "alignment", "pooling"), [(False, "image", "mean"), (True, "published", "mean_and_max")]
)
def test_sam_comes_from_the_registry(monkeypatch, tmp_path, published, alignment, pooling):
    asked = []

    def build(checkpoint, device):
        asked.append((checkpoint, device))
        return square_model(hq=False)

    monkeypatch.setattr(build_module, "sam_model_registry", {"vit_b": build})
    segmenter = build_segmenter("vit_b", checkpoint=tmp_path / "b.pth", published=published)
    assert isinstance(segmenter, SamSegmenter)
    assert asked == [(tmp_path / "b.pth", "cpu")]
    assert (segmenter.alignment, segmenter.pooling) == (alignment, pooling)


def test_a_model_without_weights_of_its_own_needs_a_checkpoint():
    with pytest.raises(CheckpointError, match="'vit_b' needs --checkpoint: only `lite` comes with weights"):
        build_segmenter("vit_b")


def test_an_unknown_model_is_named_with_the_known_ones():
    with pytest.raises(UnknownModelError, match="unknown model 'vit_x'; known: lite, vit_b, vit_l"):
        build_segmenter("vit_x")


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read"):
        build_segmenter("lite", checkpoint=tmp_path / "none.safetensors")
