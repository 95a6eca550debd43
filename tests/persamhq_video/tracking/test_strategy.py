"""Strategies inside the tracker: what they are shown, what they keep, what goes wrong."""

import numpy as np
import pytest
import torch
from stand_ins.segmenter import LABELS, NOWHERE, FakeSegmenter, Points, frame, named, rectangle, step, tracker

from persam_hq.types import PromptSet
from persamhq_video.errors import ExecutorError, StrategyError
from persamhq_video.tracking.strategy import SLOT_BYTES, slot_bytes

BOTH = [rectangle(1, 1, 3, 3), rectangle(5, 5, 8, 6)]


class Counter(Points):
    """Counts the frames it has seen of each object."""

    def remember(self, slot, seen):
        return (slot or 0) + 1


class Fitted(Points):
    """Learns the size of each object on the first frame."""

    needs_history = False

    def fit(self, first):
        return [int(mask.sum()) for mask in first.masks]


class Remembering:
    """A refiner that keeps what it was shown."""

    def __init__(self):
        self.slots, self.seen = [], []

    def __call__(self, prediction, prompts, decode, image):
        self.slots.append(decode.slots)
        return prediction

    def remember(self, slot, seen):
        self.seen.append(seen)
        return [*(slot or []), seen.frame.index]


def follow(video, frames):
    """Track frames 1 to `frames`, one after the other."""
    begun = video.begin(frame(), LABELS)
    state = begun.state
    for index in range(1, frames + 1):
        state, _ = video.track(begun.target, state, video.encode(frame(index)))
    return state


class TestWhatItSaysOfItself:
    @pytest.mark.parametrize(
        ("strategy", "needs", "shuns", "remembers"),
        [
            (Points(), True, False, False),
            (Counter(), True, False, True),
            (Fitted(), False, True, False),
            (Remembering(), True, False, True),
            (lambda *_: None, False, False, False),
        ],
    )
    def test_history(self, strategy, needs, shuns, remembers):
        it = named("x", strategy)
        assert (it.needs_history, it.declines_history, it.remembers) == (needs, shuns, remembers)


class TestSlots:
    def test_a_counter_counts_objects_and_frames(self):
        counter = Counter()
        state = follow(tracker(FakeSegmenter(logits=BOTH), selector=counter), 3)
        assert state.slots == ((3, 3),)
        assert [view.slot for view in counter.views] == [None, None, 1, 1, 2, 2]

    def test_a_refiner_keeps_its_own(self):
        first, second = Remembering(), Remembering()
        state = follow(tracker(FakeSegmenter(logits=[BOTH[0], NOWHERE]), refiners=[first, second]), 2)
        assert state.slots == ((), ([1, 2], [1, 2]), ([1, 2], [1, 2]))
        assert first.slots == [(None, None), ([1], [1])]
        assert [(s.object_id, s.state, int(s.mask.sum())) for s in first.seen[:2]] == [
            (3, "present", 9),
            (7, "absent", 0),
        ]

    @pytest.mark.parametrize("chained", [True, False])
    def test_what_was_fitted_is_there_on_every_frame(self, chained):
        fitted = Fitted()
        state = follow(tracker(FakeSegmenter(logits=BOTH), selector=fitted, chained=chained), 2)
        assert [view.slot for view in fitted.views] == [8, 9, 8, 9]
        assert state.slots == ()

    def test_a_refiner_is_fitted_with_the_prompts_of_the_first_frame(self):
        found = []

        class Fit(Remembering):
            needs_history = False

            def fit(self, first):
                found.append(first)
                assert first.decode.unselected(first.prompts).masks.shape == (2, 4, 4, 4)
                return first.prompts

        refiner = Fit()
        with pytest.raises(StrategyError, match="frame 0, object 3: its slot holds a PromptSet; expected numbers"):
            tracker(FakeSegmenter(logits=BOTH), refiners=[refiner]).begin(frame(), LABELS)
        assert [len(first.prompts) for first in found] == [2]
        assert found[0].masks.shape == (2, 8, 10)

    def test_a_selector_that_wants_no_history_is_shown_none(self):
        fitted = Fitted()
        step(FakeSegmenter(logits=BOTH), selector=fitted)
        assert [(view.box, view.mask_logits, view.missing) for view in fitted.views] == [(None, None, 0)] * 2

    @pytest.mark.parametrize(
        ("slot", "size"),
        [
            (None, 8),
            (1.5, 8),
            ("abc", 3),
            (np.zeros(4, np.float32), 16),
            (torch.zeros(4, 2).half(), 16),
            ({"a": [1, (2, b"xy")]}, 1 + 8 + 8 + 2),
        ],
    )
    def test_bytes(self, slot, size):
        assert slot_bytes(slot) == size

    def test_what_does_not_travel(self):
        with pytest.raises(TypeError, match="holds a set; expected numbers, text, arrays"):
            slot_bytes([{1}])
        with pytest.raises(TypeError, match="holds a tensor on meta; expected it on the CPU"):
            slot_bytes(torch.zeros(1, device="meta"))


class Raises(Points):
    def __call__(self, prior, view, frame):
        if frame.index == 7 and view.object_id == 7:
            raise ValueError("no\nidea")
        return PromptSet.from_points(positive=[[1.0, 2]])


class Hoards(Counter):
    def remember(self, slot, seen):
        return torch.zeros(SLOT_BYTES + 1, dtype=torch.uint8)


class Miscounts(Fitted):
    def fit(self, first):
        return [1]


class TestWhatGoesWrong:
    def test_a_strategy_that_raises_is_named_with_the_frame_and_the_object(self):
        with pytest.raises(
            StrategyError,
            match=r"the prompt selector 'raises' \(plugin test.py\) failed at frame 7, object 7: ValueError: no idea",
        ):
            step(FakeSegmenter(logits=BOTH), selector=Raises(), index=7)

    def test_a_slot_that_is_too_large(self):
        with pytest.raises(StrategyError, match=r"frame 1, object 3: its slot holds 65537 bytes, at most 65536 travel"):
            step(FakeSegmenter(logits=BOTH), selector=Hoards())

    def test_a_fit_that_forgets_an_object(self):
        with pytest.raises(StrategyError, match="frame 0: fit returned 1 slots for 2 objects"):
            step(FakeSegmenter(logits=BOTH), selector=Miscounts())

    def test_a_run_that_fails_so_keeps_its_frames(self):
        assert issubclass(StrategyError, ExecutorError)
