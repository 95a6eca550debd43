"""Every strategy in runs of small models: two objects, odd sizes, one object leaving the image."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict
from stand_ins.lite import tiny_lite
from stand_ins.model import square_model

from persam_hq.segmenter import LiteSegmenter, SamSegmenter
from persamhq_video.plugin.manager import load_registry
from persamhq_video.tracking.strategy import Strategy
from persamhq_video.tracking.strategy_runner import StrategyRunner
from persamhq_video.tracking.tracker import VideoTracker
from persamhq_video.types import Frame

SIZE = (61, 83)
REGISTRY = load_registry()
SELECTORS = [entry.name for entry in REGISTRY.prompt_selectors.entries()]
REFINERS = [entry.name for entry in REGISTRY.mask_refiners.entries()]

UPDATING = {"model": "logistic", "update": True, "confident": 0.0}


def picture(index):
    """Two squares on noise; one stays, the other leaves to the right."""
    image = np.random.default_rng(0).integers(0, 90, (*SIZE, 3)).astype(np.uint8)
    image[10:26, 8:24] = (220, 40, 40)
    image[35:51, 50 + 15 * index : 66 + 15 * index] = (40, 220, 60)
    return Frame(index=index, pts=index, time_base=Fraction(1, 25), image=image, name=str(index))


def labels():
    first = np.zeros(SIZE, np.uint8)
    first[10:26, 8:24], first[35:51, 50:66] = 3, 7
    return first


@cache
def segmenter(model):
    torch.set_num_threads(1)
    if model == "lite":
        return LiteSegmenter(tiny_lite())
    sam = square_model(hq=True)
    fill_state_dict(sam)
    return SamSegmenter(sam.eval())


def with_models(names):
    """Each name with each model; SAM has no dense location prior."""
    return [(model, name) for model in ("lite", "sam") for name in names if (model, name) != ("sam", "dense_prior")]


def strategy(register, name, options=None):
    entry = register.entry(name)
    return Strategy(entry.kind, name, entry.plugin, entry.make(options or {}))


def run(model, selector, refiners=(), *, chained=True):
    """The label maps of three frames, and what the strategies keep at the end."""
    strategies = StrategyRunner(selector, refiners)
    tracker = VideoTracker(segmenter(model), strategies=strategies, chained=chained, guided=True)
    with torch.inference_mode():
        begun = tracker.begin(picture(0), labels())
        state, found = begun.state, []
        for index in (1, 2, 3):
            state, result = tracker.track(begun.target, state, tracker.encode(picture(index)))
            found.append(result.labels)
    return np.stack(found), state.slots


@pytest.mark.parametrize(("model", "name"), with_models(SELECTORS))
def test_selectors(model, name):
    found, _ = run(model, strategy(REGISTRY.prompt_selectors, name))
    again, _ = run(model, strategy(REGISTRY.prompt_selectors, name))
    assert set(np.unique(found)) <= {0, 3, 7}
    assert np.array_equal(found, again)


@pytest.mark.parametrize(("model", "name"), with_models(sorted({*SELECTORS} - {"persam_video", "previous_mask"})))
def test_selectors_that_need_no_history(model, name):
    found, slots = run(model, strategy(REGISTRY.prompt_selectors, name), chained=False)
    assert found.shape == (3, *SIZE)
    assert slots == ()


@pytest.mark.parametrize("name", REFINERS)
@pytest.mark.parametrize(("model", "selector"), with_models(["dense_prior", "persam_video"]))
def test_refiners(model, selector, name):
    prompts = strategy(REGISTRY.prompt_selectors, selector)
    found, _ = run(model, prompts, [strategy(REGISTRY.mask_refiners, name)])
    again, _ = run(model, prompts, [strategy(REGISTRY.mask_refiners, name)])
    assert set(np.unique(found)) <= {0, 3, 7}
    assert np.array_equal(found, again)


@pytest.mark.parametrize("model", ["lite", "sam"])
def test_all_refiners_after_one_another(model):
    refiners = [strategy(REGISTRY.mask_refiners, name) for name in ("scale_weights", "cascade", "hq_only", *REFINERS)]
    found, _ = run(model, strategy(REGISTRY.prompt_selectors, "discriminative", UPDATING), refiners)
    assert set(np.unique(found)) <= {0, 3, 7}


@pytest.mark.parametrize("model", ["lite", "sam"])
def test_what_is_learnt_travels_with_the_state(model):
    selector = strategy(REGISTRY.prompt_selectors, "discriminative", UPDATING)
    smooth = strategy(REGISTRY.mask_refiners, "temporal_smooth")
    _, (models, masks) = run(model, selector, [smooth])
    assert [set(model) for model in models] == [{"mean", "axes", "sums", "vector"}] * 2
    assert len(masks) == 2
