import pytest
import torch
from safetensors.torch import save_file
from stand_in_model import square_model

from persam_hq.build import SamBuilder, sam_model_registry
from persam_hq.checkpoint import HQ_PREFIXES, read_checkpoint
from persam_hq.errors import CheckpointError


class SmallSpec:
    """An encoder spec with nothing behind it: the builder below does not ask for one."""


class SmallBuilder(SamBuilder):
    """The registered builder around a model of a few thousand weights."""

    def _assemble(self, *, hq):
        return square_model(hq=hq)


@pytest.fixture
def build():
    return SmallBuilder("vit_b", SmallSpec())


@pytest.fixture(params=["pth", "safetensors", "legacy.pth"])
def write(request, tmp_path):
    """Write tensors in one of the formats; gives the path."""

    def write(tensors):
        path = tmp_path / f"weights.{request.param}"
        if request.param == "safetensors":
            save_file({key: value.contiguous() for key, value in tensors.items()}, path)
        else:
            torch.save(tensors, path, _use_new_zipfile_serialization=request.param == "pth")
        return path

    return write


@pytest.mark.parametrize("stored", [True, False])
def test_hq_parts_are_built_as_the_file_says(build, write, stored):
    source = square_model(hq=stored)
    model = build(write(source.state_dict()))
    assert model.has_hq is stored
    assert not model.training
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_hq_parts_are_left_out_on_request(build, write):
    source = square_model(hq=True)
    model = build(write(source.state_dict()), hq=False)
    assert not any(key.startswith(HQ_PREFIXES) for key in model.state_dict())
    assert torch.equal(model.image_encoder.pos_embed, source.image_encoder.pos_embed)


def test_hq_parts_that_are_not_there_may_keep_what_they_were_built_with(write):
    stored, model = square_model(hq=False).state_dict(), square_model(hq=True)
    built = {key: value.clone() for key, value in model.state_dict().items()}
    read_checkpoint(write(stored)).load_into(model, name="vit_b", fresh_hq=True)
    for key, value in model.state_dict().items():
        assert torch.equal(value, built[key] if key.startswith(HQ_PREFIXES) else stored[key]), key
    lacking = {key: value for key, value in stored.items() if not key.startswith("prompt_encoder")}
    with pytest.raises(CheckpointError, match=r"missing: prompt_encoder"):
        read_checkpoint(write(lacking)).load_into(model, name="vit_b", fresh_hq=True)


def test_hq_parts_that_are_not_there_are_named(build, write):
    with pytest.raises(CheckpointError, match=r"missing: mask_decoder\.hf_token\.weight, .* and \d+ more"):
        build(write(square_model(hq=False).state_dict()), hq=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("mask_decoder.iou_token.weight"), "1 missing: mask_decoder.iou_token.weight"),
        (
            lambda t: t.update({"mask_decoder.extra.bias": torch.zeros(1)}),
            "1 not part of the model: mask_decoder.extra.bias",
        ),
        (
            lambda t: t.update({"mask_decoder.iou_token.weight": torch.zeros(1, 5)}),
            r"1 of another shape: mask_decoder.iou_token.weight \(1, 5\), expected \(1, 32\)",
        ),
        (lambda t: t.update({"optimizer.step": torch.zeros(1)}), "it has optimizer.step"),
        (lambda t: t.clear(), "it has no tensors"),
    ],
)
def test_what_does_not_fit_is_named(build, write, change, message):
    tensors = square_model(hq=False).state_dict()
    change(tensors)
    with pytest.raises(CheckpointError, match=message):
        build(write(tensors))


@pytest.mark.parametrize(
    ("key", "shape", "encoder"),
    [
        ("image_encoder.patch_embed.seq.0.c.weight", (32, 3, 3, 3), "vit_tiny"),
        ("image_encoder.pos_embed", (1, 2, 2, 768), "vit_b"),
        ("image_encoder.pos_embed", (1, 2, 2, 1024), "vit_l"),
        ("image_encoder.pos_embed", (1, 2, 2, 1280), "vit_h"),
        ("image_encoder.pos_embed", (1, 2, 2, 7), None),
    ],
)
def test_the_encoder_is_recognised(write, key, shape, encoder):
    found = read_checkpoint(write({key: torch.zeros(shape)}))
    assert found.encoder == encoder
    assert found.has_hq is False
    assert f"{encoder}, hq=False, 1 tensors" in repr(found)


def test_another_encoder_is_named(build, write):
    path = write({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 1024)})
    with pytest.raises(CheckpointError, match="holds vit_l, not vit_b; ask for 'vit_l'"):
        build(path)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(CheckpointError, match=f"cannot read .*{name}"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_a_broken_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="cannot read"):
        read_checkpoint(tmp_path / name)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save({"image_encoder.x": SmallSpec()}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="cannot read"):
        read_checkpoint(tmp_path / "code.pth")


def test_a_list_is_no_mapping(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds list, expected a mapping"):
        read_checkpoint(tmp_path / "list.pth")


def test_registered_builders_know_their_own_name():
    builders = [builder for builder in sam_model_registry.values() if isinstance(builder, SamBuilder)]
    assert all(sam_model_registry[builder.name] is builder for builder in builders)
