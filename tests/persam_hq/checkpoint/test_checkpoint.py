import subprocess
import sys
from pathlib import Path

import pytest
import torch
from stand_ins.builder import save, small_builder
from stand_ins.model import square_model
from stand_ins.training import HQ_STAGE, SAM_STAGE, sam_config, tiny_sam_training

from persam_hq.build.sam import SamBuilder, sam_model_registry
from persam_hq.checkpoint import HQ_PREFIXES, Layout, read_checkpoint
from persam_hq.errors import CheckpointError


@pytest.fixture
def build():
    return small_builder()


@pytest.fixture(params=["pth", "safetensors", "legacy.pth"])
def write(request, tmp_path):
    """Write tensors in one of the formats; gives the path."""
    return lambda tensors: save(tensors, tmp_path / f"weights.{request.param}")


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
    lacking = {key: value for key, value in stored.items() if not key.startswith("prompt_encoder.point")}
    with pytest.raises(CheckpointError, match=r"4 missing: prompt_encoder.point_embeddings.0.weight"):
        read_checkpoint(write(lacking)).load_into(model, name="vit_b", fresh_hq=True)


def test_a_model_that_learns_does_not_write_to_its_file(build, write):
    path = write(square_model(hq=False).state_dict())
    before = path.read_bytes()
    model = build(path)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    sum(p.square().sum() for p in model.parameters()).backward()
    optimizer.step()
    assert path.read_bytes() == before
    assert not torch.equal(model.mask_decoder.iou_token.weight, build(path).mask_decoder.iou_token.weight)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which file an address is mapped from")
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_loaded_model_has_no_memory_but_the_files(build, tmp_path, name):
    path = save(square_model(hq=True).state_dict(), tmp_path / name)
    model = build(path)
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    ranges = [[int(end, 16) for end in line[0].split("-")] for line in lines]
    for key, value in model.state_dict().items():
        assert any(begin <= value.data_ptr() < end for begin, end in ranges), key


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="it reads the kernel's account of the process")
def test_loading_a_large_model_takes_the_memory_of_its_tensors():
    script = Path(__file__).parents[3] / "scripts" / "benchmarks" / "checkpoint_loading.py"
    done = subprocess.run([sys.executable, script, "vit_b"], check=False, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("peak above the baseline") == 3


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
        (
            lambda t: [t.pop(f"image_encoder.blocks.1.attn.rel_pos_{axis}") for axis in "hw"],
            r"2 missing: image_encoder.blocks.1.attn.rel_pos_h, image_encoder.blocks.1.attn.rel_pos_w$",
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


def test_what_a_checkpoint_says_of_itself(write):
    found = read_checkpoint(write({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 768)}))
    assert (found.encoder, found.has_hq, found.image_size) == ("vit_b", False, 32)
    assert (found.layout, found.around, found.lacks) == (Layout.PUBLISHED, (), ("prompt_encoder", "mask_decoder"))
    assert repr(found).endswith(": vit_b, hq=False, 1 tensors)")


def test_another_encoder_is_named(build, write):
    path = write({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 1024)})
    with pytest.raises(CheckpointError, match="holds vit_l, not vit_b; ask for 'vit_l'"):
        build(path)


def part(tensors, prefix):
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@pytest.mark.parametrize("hq", [True, False])
def test_a_decoder_goes_over_a_whole_model(build, tmp_path, hq):
    whole, other = square_model(hq=False).state_dict(), square_model(hq=hq).state_dict()
    base = save(whole, tmp_path / "whole.pth")
    decoder = save(part(other, "mask_decoder."), tmp_path / "maskdecoder.pth")
    with pytest.raises(
        CheckpointError, match=r"maskdecoder.pth lacks all of image_encoder and prompt_encoder; take them"
    ):
        build(decoder)
    model = build(decoder, base=base)
    assert model.has_hq is hq
    for key, value in model.state_dict().items():
        assert torch.equal(value, (other if key.startswith("mask_decoder.") else whole)[key]), key


def test_a_decoder_of_another_model_is_refused(tmp_path):
    base = save({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 768)}, tmp_path / "vit_b.pth")
    decoder = save({"compress_vit_feat.0.weight": torch.zeros(1024, 256, 2, 2)}, tmp_path / "decoder.pth")
    with pytest.raises(CheckpointError, match=r"decoder.pth goes with vit_l, but \S*vit_b.pth holds vit_b"):
        read_checkpoint(decoder).over(read_checkpoint(base))


def test_what_a_training_writes(tmp_path, build):
    training = tiny_sam_training(sam_config(stages=[SAM_STAGE, HQ_STAGE]), tmp_path / "run")
    start = save(training.model.state_dict(), tmp_path / "start.pth")
    training.run()
    averaged = read_checkpoint(tmp_path / "run" / "ema.safetensors").tensors
    state = read_checkpoint(tmp_path / "run" / "state.pt")
    assert state.around == ("ema",)
    with pytest.raises(CheckpointError, match=r"state.pt lacks all of image_encoder; take them"):
        state.load_into(square_model(hq=True), name="vit_b")
    model = build(tmp_path / "run" / "state.pt", base=start)
    assert all(torch.equal(value, averaged[key]) for key, value in model.state_dict().items())


def test_a_state_in_which_all_parts_learn_is_no_whole_model_either(tmp_path, build):
    joint = HQ_STAGE | {"train": ["image_encoder", "prompt_encoder", "mask_decoder", "hq"]}
    tiny_sam_training(sam_config(stages=[joint]), tmp_path / "run").run()
    with pytest.raises(
        CheckpointError, match=r"1 missing: .*gaussian_matrix; a training state holds .* ema.safetensors"
    ):
        build(tmp_path / "run" / "state.pt")


def test_registered_builders_know_their_own_name():
    builders = [builder for builder in sam_model_registry.values() if isinstance(builder, SamBuilder)]
    assert all(sam_model_registry[builder.name] is builder for builder in builders)
