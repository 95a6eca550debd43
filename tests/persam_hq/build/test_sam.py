import pytest
import torch

from persam_hq.build.sam import SamBuilder, build_model, sam_model_registry
from persam_hq.checkpoint import HQ_PREFIXES
from persam_hq.errors import InputError, UnknownModelError

# Published parameter counts of the image encoders, in millions (SAM; MobileSAM with the ImageNet head)
ENCODERS = {"vit_b": 89.7, "vit_l": 308.3, "vit_h": 637.0, "vit_tiny": 6.07}


def keys(name, *, hq):
    with torch.device("meta"):
        return sam_model_registry[name](hq=hq).state_dict()


@pytest.mark.parametrize("name", ENCODERS)
def test_the_encoder_has_the_published_size(name):
    with torch.device("meta"):
        encoder = sam_model_registry[name]().image_encoder
    millions = sum(p.numel() for p in encoder.parameters()) / 1e6
    assert millions == pytest.approx(ENCODERS[name], rel=0.01)


@pytest.mark.parametrize("name", ENCODERS)
def test_hq_parts_are_built_only_when_asked_for(name):
    plain, hq = keys(name, hq=False), keys(name, hq=True)
    assert keys(name, hq=None).keys() == plain.keys()
    assert {key for key in hq if not key.startswith(HQ_PREFIXES)} == set(plain)
    assert len(hq) - len(plain) == 25


def test_constants_are_not_weights():
    assert not any("pixel_" in key or "attention_bias_idxs" in key for key in keys("vit_tiny", hq=True))


@pytest.mark.parametrize(("alias", "name"), [("default", "vit_h"), ("vit_t", "vit_tiny")])
def test_published_aliases(alias, name):
    assert sam_model_registry[alias] is sam_model_registry[name]


def test_an_unknown_model_is_named_with_the_known_ones():
    with pytest.raises(UnknownModelError, match="no model 'vit_x'; known are vit_b, vit_l"):
        build_model("vit_x")


def test_build_model_asks_the_registry(monkeypatch):
    calls = []
    monkeypatch.setattr(SamBuilder, "__call__", lambda self, *a, **k: calls.append((self.name, a, k)))
    build_model("vit_b", hq=True, image_size=512)
    assert calls == [("vit_b", (None,), {"hq": True, "image_size": 512, "base": None, "device": None})]


@pytest.mark.parametrize("size", [0, 8, 1000, -16])
def test_an_image_size_is_a_whole_number_of_patches(size):
    with pytest.raises(InputError, match=f"got an image size of {size}; expected a multiple of 16"):
        build_model("vit_tiny", image_size=size)


@pytest.mark.parametrize("name", ["vit_b", "vit_tiny"])
def test_models_for_other_image_sizes(name):
    with torch.device("meta"):
        model = build_model(name, image_size=512, hq=True)
    assert model.image_encoder.img_size == 512
    assert model.prompt_encoder.image_embedding_size == (32, 32)
    assert model.input_frame((300, 400)).padded == (512, 512)
    assert model.pixel_mean.device.type == "cpu"


def test_a_base_needs_something_to_go_over_it():
    with pytest.raises(InputError, match=r"got a base, sam.pth, and no checkpoint to put over it"):
        build_model("vit_tiny", base="sam.pth")
