"""Checks of the results and slots of strategies: counts, shapes, finite numbers, slots that end; messages name them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins.segmenter import LABELS, FakeSegmenter, Points, frame, rectangle, step, tracker

from persam_hq.types import PromptSet
from persamhq_video.errors import StrategyError
from persamhq_video.tracking.prompt_check import MAX_POINTS
from persamhq_video.tracking.strategy import SLOT_BYTES, check_nesting

BOTH = [rectangle(1, 1, 3, 3), rectangle(5, 5, 8, 6)]
NAN = float("nan")


def points(count=1, *, value=1.0, **more):
    return PromptSet.from_points(positive=[[value, 2.0]] * count, **more)


class Returns(Points):
    """Returns the same prompts for every object."""

    def __init__(self, prompts):
        super().__init__()
        self.prompts = prompts

    def __call__(self, prior, view, frame):
        return self.prompts


class Keeps(Points):
    """Keeps the same slot after every frame."""

    def __init__(self, slot):
        super().__init__()
        self.slot = slot

    def remember(self, slot, seen):
        return self.slot


class Leaves(Points):
    """Ends in another way than by an Exception."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def __call__(self, prior, view, frame):
        raise self.error


class OutOfMemory(FakeSegmenter):
    def decode(self, *args, **kwargs):
        raise MemoryError("cannot allocate 320 GB")


def track(selector=None, refiners=(), segmenter=None):
    return step(segmenter or FakeSegmenter(logits=BOTH), selector=selector, refiners=refiners)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (points(100_000), "it returned 100000 points, expected at most 1000 per object"),
        (points(MAX_POINTS + 1), "it returned 1001 points"),
        (points(value=NAN), "it returned points that are not finite"),
        (points(value=float("inf")), "it returned points that are not finite"),
        (points(box=torch.tensor([0.0, 0.0, NAN, 4.0])), "it returned box that are not finite"),
        (points(mask_input=torch.full((1, 4, 4), NAN)), "it returned mask_input that are not finite"),
    ],
)
def test_prompts_that_the_decoder_cannot_take(prompts, message):
    with pytest.raises(StrategyError, match=rf"prompt selector '[a-z]+' .*failed at frame 1, object 3: {message}"):
        track(Returns(prompts))


def test_as_many_points_as_allowed():
    assert track(Returns(points(MAX_POINTS))) is not None


@pytest.mark.parametrize(
    "error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), MemoryError(), BaseException("own")]
)
def test_a_selector_that_leaves(error):
    with pytest.raises(StrategyError, match=r"prompt selector '[a-z]+' .*failed at frame 1, object 3: "):
        track(Leaves(error))


def test_memory_that_runs_out_in_the_decoder_names_whose_prompts_it_was_run_on():
    with pytest.raises(StrategyError, match=r"frame 1: .* on the prompts of the prompt selector '[a-z]+' .*320 GB"):
        track(segmenter=OutOfMemory(logits=BOTH))


def test_prompts_that_a_refiner_has_decoded():
    def refiner(prediction, prompts, decode, image):
        return decode([points(5000)] * len(prompts))

    with pytest.raises(StrategyError, match=r"the mask refiner .*failed at frame 1: InputError: got 5000 points"):
        track(refiners=[refiner])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, logits=torch.full_like(p.logits, NAN)), "it returned logits that are no numbers"),
        (lambda p: replace(p, low_res_logits=p.low_res_logits * NAN), "it returned logits that are no numbers"),
        (lambda p: replace(p, scores=p.scores / 0), "it returned scores that are not finite"),
        (lambda p: replace(p, low_res_logits=p.low_res_logits[:, :1]), "it returned low_res_logits of shape"),
    ],
)
def test_masks_that_are_no_masks(change, message):
    with pytest.raises(StrategyError, match=f"the mask refiner .*failed at frame 1: {message}"):
        track(refiners=[lambda prediction, prompts, decode, image: change(prediction)])


def test_a_refiner_may_rule_pixels_out():
    def refiner(prediction, prompts, decode, image):
        return replace(prediction, logits=torch.where(prediction.masks, prediction.logits, -torch.inf))

    assert track(refiners=[refiner]) is not None


def cyclic_list():
    slot = [1]
    slot.append(slot)
    return slot


def cyclic_dict():
    slot = {}
    slot["again"] = (slot,)
    return slot


def deep():
    slot = ()
    for _ in range(5000):
        slot = (slot,)
    return slot


def doubled():
    """Two to the power of 40 empty tuples, in 40 objects."""
    slot = ()
    for _ in range(40):
        slot = (slot, slot)
    return slot


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        (cyclic_list(), "its slot holds itself"),
        (cyclic_dict(), "its slot holds itself"),
        (deep(), "its slot is nested more than 50 deep"),
        (doubled(), f"its slot holds more than {SLOT_BYTES} values"),
        (np.array([object()]), "its slot holds an array of Python objects"),
    ],
)
def test_slots_that_do_not_end(slot, message):
    video = tracker(FakeSegmenter(logits=BOTH), selector=Keeps(slot))
    begun = video.begin(frame(), LABELS)
    with pytest.raises(StrategyError, match=rf"prompt selector '[a-z]+' .*failed at frame 1, object 3: {message}"):
        video.track(begun.target, begun.state, video.encode(frame(1)))


def test_one_value_may_be_held_twice():
    shared = [1.0, 2.0]
    check_nesting([shared, shared, {"a": shared}])
