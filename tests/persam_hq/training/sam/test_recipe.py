import pytest
import torch
from safetensors.torch import load_file
from stand_ins.training import HQ_STAGE, SAM_STAGE, sam_config, tiny_recipe, tiny_sam_training

from persam_hq.checkpoint import read_checkpoint
from persam_hq.training.curves import read_curves
from persam_hq.training.sam.recipe import part_of

SAM_PARTS = {"prompt_encoder", "mask_decoder"}
ENCODER_STAGE = SAM_STAGE | {"train": ["image_encoder", "mask_decoder"]}


@pytest.fixture
def train(tmp_path):
    """Train in miniature: the training, and which parts changed after each step."""

    def run(*stages, hq=False, **changes):
        training = tiny_sam_training(sam_config(stages=stages, **changes), tmp_path / "run", hq=hq)
        begun = {name: value.clone() for name, value in training.model.state_dict().items()}
        changed, descend = [], training._descend

        def watched(step, batch):
            figures = descend(step, batch)
            state = training.model.state_dict()
            changed.append({part_of(name) for name, value in state.items() if not torch.equal(value, begun[name])})
            return figures

        training._descend = watched
        training.run()
        return training, changed

    return run


@pytest.mark.parametrize(
    ("stages", "changed"),
    [
        (
            (SAM_STAGE, HQ_STAGE),
            [{"prompt_encoder", "mask_decoder"}] * 2 + [{"prompt_encoder", "mask_decoder", "hq"}] * 2,
        ),
        ((HQ_STAGE,), [{"hq"}] * 2),
        ((ENCODER_STAGE,), [{"image_encoder", "mask_decoder"}] * 2),
        ((HQ_STAGE | {"train": ["hq", "mask_decoder"]},), [{"hq", "mask_decoder"}] * 2),
    ],
    ids=["two paths", "hq alone", "encoder too", "jointly"],
)
def test_each_stage_trains_what_it_names(train, stages, changed):
    _, found = train(*stages)
    assert found == changed


def test_every_tensor_of_the_hq_parts_learns_and_no_other_changes(train):
    config = sam_config(stages=[HQ_STAGE])
    begun = {name: value.clone() for name, value in tiny_recipe(config).model.state_dict().items()}
    training, _ = train(HQ_STAGE)
    for name, value in training.model.state_dict().items():
        assert torch.equal(value, begun[name]) == (part_of(name) != "hq"), name


def test_the_hq_parts_are_attached_with_their_stage():
    recipe = tiny_recipe(sam_config())
    attached = []
    for step in range(4):
        recipe.prepare(step)
        attached.append(recipe.model.has_hq)
    assert attached == [False, False, True, True]
    assert tiny_recipe(sam_config(stages=[SAM_STAGE]), hq=True).model.has_hq


def test_the_rate_counts_from_the_stages_begin():
    recipe = tiny_recipe(sam_config())
    paces = [recipe.prepare(step) for step in range(4)]
    assert [pace.age for pace in paces] == [0, 1, 0, 1]
    assert paces[0].rate == pytest.approx(1e-4)
    assert paces[2].rate == pytest.approx(1e-3)


def test_groups_hold_each_learned_parameter_once_and_norms_do_not_decay():
    recipe = tiny_recipe(sam_config(stages=[ENCODER_STAGE, HQ_STAGE], encoder_factor=0.25))
    groups = recipe.parameter_groups()
    parameters = [p for group in groups for p in group["params"]]
    assert len({id(p) for p in parameters}) == len(parameters) == len(recipe.learned)
    assert {group["factor"] for group in groups} == {0.25, 1.0}
    assert all((p.ndim <= 1) == (group.get("weight_decay") == 0) for group in groups for p in group["params"])


def test_without_an_hq_stage_the_weights_are_written_without_hq_parts(train, tmp_path):
    train(SAM_STAGE)
    path = tmp_path / "run" / "ema.safetensors"
    assert not read_checkpoint(path).has_hq


def test_averaged_weights_are_written_with_the_hq_parts_once_these_are_attached(train, tmp_path):
    training, _ = train(SAM_STAGE, HQ_STAGE)
    written = load_file(tmp_path / "run" / "ema.safetensors")
    assert read_checkpoint(tmp_path / "run" / "ema.safetensors").has_hq
    assert written.keys() == training.model.state_dict().keys()
    assert all(torch.equal(written[name], value) for name, value in training.ema.items())
    training.model.load_state_dict(written)


@pytest.mark.parametrize("kind", ["point", "points", "box", "mask", "prior"])
def test_all_kinds_of_prompts_and_both_losses(train, tmp_path, kind):
    joint = HQ_STAGE | {"train": ["hq", "prompt_encoder", "mask_decoder"]}
    train(joint, prompts={kind: 1}, second_pass=1.0, guided_attention=1.0, target_embedding=1.0, batch=3)
    for record in read_curves(tmp_path / "run" / "curves.jsonl"):
        assert record["loss"] == pytest.approx(record["loss_sam"] + record["loss_hq"], rel=1e-5)
        assert {f"iou_{kind}", f"iou_{kind}+", "rate", "norm"} <= record.keys()


def test_half_precision(train, tmp_path):
    train(SAM_STAGE, HQ_STAGE, precision="bfloat16")
    half = [record["loss"] for record in read_curves(tmp_path / "run" / "curves.jsonl")]
    (tmp_path / "run").rename(tmp_path / "half")
    train(SAM_STAGE, HQ_STAGE)
    whole = [record["loss"] for record in read_curves(tmp_path / "run" / "curves.jsonl")]
    assert half != whole
    assert half == pytest.approx(whole, rel=0.05)


def test_a_picture_each_epoch(train, tmp_path):
    train(SAM_STAGE, HQ_STAGE, epoch_steps=2)
    pictures = sorted((tmp_path / "run" / "validation").iterdir())
    assert [path.name for path in pictures] == ["epoch-0001.jpg", "epoch-0002.jpg"]
    records = list(read_curves(tmp_path / "run" / "curves.jsonl"))
    assert ["iou_validation" in record for record in records] == [False, True, False, True]
    header = (tmp_path / "run" / "curves.csv").read_text().splitlines()[0]
    assert {"step", "loss", "iou_validation"} <= set(header.split(","))
