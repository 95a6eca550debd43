"""A comparison of the stand-in tracker with itself, under other names."""

import pytest

from persamhq_video.compare import Contender, plan_comparison
from persamhq_video.config import RunConfig, make_config


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def plan(stand_in, clip, mask, out):
    """Three strategies of the stand-in, whose masks differ by what their selectors and refiners are called."""

    def make(*, annotations=None, video=clip, **common):
        base = make_config({"executor": "inline", **common})
        own = {
            "default": RunConfig(),
            "points": RunConfig(prompts="top_k_points"),
            "plain": RunConfig(refine=(), mode="independent", prompts="top_k_points"),
        }
        contenders = [Contender.over(base, name, f"--{name}", options) for name, options in own.items()]
        return plan_comparison(contenders, video=video, mask=mask, out=out, annotations=annotations)

    return make
