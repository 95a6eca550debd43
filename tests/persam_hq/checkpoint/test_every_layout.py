"""A checkpoint in every layout that is read, with weights that golden values exist for: loaded, it gives them.

The encoders of all are compared with the filled one bit by bit, and its features are used; one is run as it was
loaded. With `long` all are.
"""

from functools import cache

import pytest
import torch
from golden.checks import check
from golden.fill_weights import tensor_for
from golden.fixtures import fixture_image
from golden.outputs import decoder_outputs, encoded, encoder_outputs, golden
from stand_ins.builder import save
from stand_ins.hugging_face_names import hugging_face_layout

from persam_hq.build.sam import build_model
from persam_hq.checkpoint import HQ_PREFIXES
from persam_hq.predictor import encode

pytestmark = pytest.mark.slow


@cache
def filled_tensors(name):
    """The state dict of a whole model with HQ parts, every tensor what its key stands for."""
    with torch.device("meta"):
        expected = build_model(name, hq=True).state_dict()
    return {
        key: tensor_for(key, tuple(value.shape)) if value.is_floating_point() else torch.zeros_like(value, device="cpu")
        for key, value in expected.items()
    }


def without_hq(tensors):
    return {key: value for key, value in tensors.items() if not key.startswith(HQ_PREFIXES)}


def part(tensors, prefix, *, keep=""):
    return {keep + key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def published(tensors, folder):
    """SAM, PerSAM and MobileSAM without HQ parts, SAM-HQ and Light HQ-SAM with them."""
    return {"checkpoint": save(tensors, folder / "published.pth")}


def published_before_2020(tensors, folder):
    """The format of torch before 1.6, which cannot be mapped."""
    return {"checkpoint": save(tensors, folder / "published.legacy.pth")}


def decoder_file(tensors, folder):
    """sam_vit_*_maskdecoder.pth, or with HQ parts what the training of SAM-HQ saves, over the model they go with."""
    base = save(
        without_hq(tensors) | shifted(part(tensors, "mask_decoder.", keep="mask_decoder.")), folder / "base.pth"
    )
    return {"checkpoint": save(part(tensors, "mask_decoder."), folder / "maskdecoder.pth"), "base": base}


def shifted(tensors):
    """Other weights, which must be replaced; HQ parts among them are left out."""
    return {key: value + 1 for key, value in without_hq(tensors).items()}


def hugging_face(tensors, folder):
    """SamModel or SamHQModel as `save_pretrained` writes it."""
    return {"checkpoint": save(hugging_face_layout(tensors, twice=False), folder / "model.safetensors")}


def hugging_face_torch(tensors, folder):
    """The same as older versions wrote it."""
    return {"checkpoint": save(hugging_face_layout(tensors), folder / "pytorch_model.bin")}


def averaged(tensors, folder):
    """ema.safetensors of a training."""
    return {"checkpoint": save(tensors, folder / "ema.safetensors")}


def training_state(tensors, folder):
    """state.pt of a training of the decoder, over the weights that it started from."""
    learned = part(tensors, "mask_decoder.", keep="mask_decoder.")
    state = {"model": shifted(learned), "optimizer": {"state": {}}, "ema": learned, "step": 3, "foundation": ""}
    return decoder_file(tensors, folder) | {"checkpoint": save(state, folder / "state.pt")}


ANY = (published, decoder_file, averaged, training_state)
CASES = [(name, hq, layout) for name in ("vit_tiny", "vit_b") for hq in (True, False) for layout in ANY]
CASES += [("vit_tiny", True, published_before_2020)]
CASES += [("vit_b", hq, layout) for hq in (True, False) for layout in (hugging_face, hugging_face_torch)]
IDS = [f"{name}-{'hq' if hq else 'plain'}-{layout.__name__}" for name, hq, layout in CASES]


@pytest.fixture
def load(tmp_path):
    """Write a layout, and load it; the files are large, so they do not outlive the test."""

    def load(name, *, hq, layout):
        tensors = filled_tensors(name)
        return build_model(name, **layout(tensors if hq else without_hq(tensors), tmp_path))

    yield load
    for path in tmp_path.iterdir():
        path.unlink()


def agree(found, name):
    """Every value is the golden one, and whole groups of them are there."""
    values = golden(name)
    groups = {key.split("/")[0] for key in found}
    assert set(found) == {key for key in values if key.split("/")[0] in groups}
    for key, value in found.items():
        check(key, value, values[key])


@pytest.mark.parametrize(("name", "hq", "layout"), CASES, ids=IDS)
def test_gives_the_golden_values_of_the_decoder(load, name, hq, layout):
    model = load(name, hq=hq, layout=layout)
    assert model.has_hq is hq
    for key, value in model.state_dict().items():
        assert torch.equal(value, filled_tensors(name)[key]), key
    agree(decoder_outputs(model, *encoded(name)), name)


def test_gives_the_golden_values_of_the_encoder(load):
    model = load("vit_tiny", hq=True, layout=published)
    agree(encoder_outputs(encode(model, fixture_image(seed=1))), "vit_tiny")


@pytest.mark.long
@pytest.mark.parametrize(("name", "hq", "layout"), CASES, ids=IDS)
def test_gives_all_golden_values_as_it_was_loaded(load, name, hq, layout):
    model = load(name, hq=hq, layout=layout)
    reference, test = (encode(model, fixture_image(seed=seed)) for seed in (0, 1))
    agree(encoder_outputs(test) | decoder_outputs(model, reference, test), name)
