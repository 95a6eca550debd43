import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from stand_ins.lite import tiny_lite

from persam_hq.build.lite import load_lite
from persam_hq.errors import CheckpointError, InputError
from persam_hq.io.atomic import part_path
from persam_hq.segmenter import LiteSegmenter
from persam_hq.training.curves import read_curves
from persam_hq.training.lite.recipe import LiteRecipe


def silent(_):
    pass


@pytest.fixture
def train(tiny_training, make_config, tmp_path):
    """Train in a folder of that name: the records of its steps, without their times."""

    def run(name, **changes):
        out = tmp_path / name
        tiny_training(make_config(**changes), out, report=silent).run()
        return [{k: v for k, v in record.items() if k != "seconds"} for record in read_curves(out / "curves.jsonl")]

    return run


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(train, monkeypatch, tmp_path):
    uninterrupted = train("whole")
    assert [record["step"] for record in uninterrupted] == [1, 2, 3, 4]
    assert all(math.isfinite(record["loss"]) for record in uninterrupted)

    def killed(recipe, step, batch):
        if step == 3:
            raise KeyboardInterrupt("step 3")
        return result(recipe, step, batch)

    result = LiteRecipe.result
    with monkeypatch.context() as patch:
        patch.setattr(LiteRecipe, "result", killed)
        with pytest.raises(KeyboardInterrupt, match="step 3"):
            train("killed", save_every_seconds=1e-9)
    assert train("killed") == uninterrupted
    whole, killed = (load_file(tmp_path / name / "ema.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())


def test_the_trunk_learns_only_when_and_where_it_may(tiny_training, make_config, tmp_path):
    training = tiny_training(make_config(), tmp_path / "run", report=silent)
    begun = {name: value.clone() for name, value in training.model.state_dict().items()}
    changed, descend = [], training._descend

    def watched(step, batch):
        figures = descend(step, batch)
        state = training.model.state_dict()
        changed.append({name for name, value in state.items() if not torch.equal(value, begun[name])})
        return figures

    training._descend = watched
    training.run()
    trunk = "image_encoder.trunk."
    assert not [name for name in changed[1] if name.startswith(trunk)]
    learned = {int(name.split(".")[3]) for name in changed[3] if name.startswith(trunk)}
    assert learned == {2, 3, 4, 5}
    assert any(name.startswith("mask_decoder.hf_token") for name in changed[0])


def test_the_averaged_weights_load_into_a_segmenter(train, tmp_path, clips_root):
    train("run", steps=2)
    path = tmp_path / "run" / "ema.safetensors"
    with safe_open(path, "pt") as weights:
        assert weights.metadata() == {"model": "lite", "step": "2", "format": "persam_hq.lite"}
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
    model = tiny_lite()
    load_lite(model, path)
    features = LiteSegmenter(model).encode(torch.zeros(64, 96, 3, dtype=torch.uint8).numpy())
    assert torch.isfinite(features.image_embedding).all()


def test_averaged_weights_follow_the_trained_ones(tiny_training, make_config, tmp_path):
    training = tiny_training(make_config(), tmp_path / "run", report=silent)
    name, start = "mask_decoder.iou_token.weight", training.ema["mask_decoder.iou_token.weight"].clone()
    with torch.no_grad():
        training.model.state_dict()[name].add_(1.0)
    training._average(0)  # decay 1 / 10
    assert torch.allclose(training.ema[name], start + 0.9)
    training._average(1000)  # decay 0.9, as configured
    assert torch.allclose(training.ema[name], start + 0.91)


def test_a_run_can_start_from_older_weights(train, tiny_training, make_config, tmp_path):
    train("old", steps=1)
    older = tmp_path / "old" / "ema.safetensors"
    training = tiny_training(make_config(start_from=str(older)), tmp_path / "new", report=silent)
    assert training.step == 0
    for name, value in load_file(older).items():
        assert torch.equal(training.model.state_dict()[name], value.float()), name
    with pytest.raises(CheckpointError, match="cannot read"):
        tiny_training(make_config(start_from="none.safetensors"), tmp_path / "other", report=silent)


def test_a_gradient_that_is_not_finite_changes_nothing_but_is_logged(tiny_training, make_config, tmp_path, monkeypatch):
    training = tiny_training(make_config(steps=1), tmp_path / "run", report=silent)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    training.run()
    assert all(torch.equal(value, before[name]) for name, value in training.model.state_dict().items())
    (record,) = read_curves(tmp_path / "run" / "curves.jsonl")
    assert record["norm"] == math.inf


@pytest.mark.slow
def test_what_is_reported(tiny_training, make_config, tmp_path):
    lines = []
    tiny_training(make_config(steps=1), tmp_path / "run", report=lines.append).run()
    assert [line.split()[:2] for line in lines] == [["peak", "memory"]]  # only every twentieth step has a line
    tiny_training(make_config(steps=1), tmp_path / "run", report=lines.append).run()
    assert lines[1] == "goes on from step 1"


def test_a_folder_that_cannot_be_made(tiny_training, make_config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot make the folder .*file for the run"):
        tiny_training(make_config(), tmp_path / "file", report=silent)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "cannot go on from"), (b"no state", "cannot go on from"), ({"epoch": 3}, "is no state of a training")],
)
def test_a_state_that_is_none(tiny_training, make_config, tmp_path, content, said):
    (tmp_path / "run").mkdir()
    if isinstance(content, bytes):
        (tmp_path / "run" / "state.pt").write_bytes(content)
    else:
        torch.save(content, tmp_path / "run" / "state.pt")
    with pytest.raises(InputError, match=f"{said}.*name another folder with --out") as caught:
        tiny_training(make_config(), tmp_path / "run", report=silent)
    assert "\n" not in str(caught.value)


def test_a_save_does_not_follow_a_link(tiny_training, make_config, tmp_path):
    training = tiny_training(make_config(), tmp_path / "run", report=silent)
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    for path in (training.state_path, training.out / "ema.safetensors"):
        part_path(path).symlink_to(theirs)
    training.save()
    assert theirs.read_text() == "theirs"
    assert training._read_state()["step"] == 0
    assert sorted(entry.name for entry in training.out.iterdir() if not entry.is_dir()) == [
        "ema.safetensors",
        "state.pt",
    ]
