"""One encoding for all, and the same results as each strategy has by itself."""

import hashlib
import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from stand_ins.lite import tiny_lite
from stand_ins.segmenter import named

from persam_hq.segmenter import LiteConfig, LiteSegmenter
from persam_hq.types import PromptSet
from persamhq_plugins.mask_refiners.cascade import Cascade
from persamhq_video.compare.shared_tracker import CombinedResult, SharedJob, SharedTracker
from persamhq_video.config import make_config
from persamhq_video.errors import StrategyError
from persamhq_video.job.prepare import make_job
from persamhq_video.tracking.strategy_runner import StrategyRunner
from persamhq_video.tracking.tracker import VideoTracker
from persamhq_video.types import Frame

SIZE = (40, 60)


class NoPoints:
    needs_history = False

    def __call__(self, prior, view, frame):
        return PromptSet(points=torch.zeros(0, 2), labels=torch.zeros(0))


class CountingSegmenter(LiteSegmenter):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.encoded = self.located = 0

    def encode(self, image):
        self.encoded += 1
        return super().encode(image)

    def locate(self, *args):
        self.located += 1
        return super().locate(*args)


ONE_LOOK = {"without": ["second-look"]}
"""How often a frame is looked at is then known beforehand."""


def tracker(model, *, use_hq=False, refiners=(), chained=True, without=()):
    segmenter = CountingSegmenter(model, config=LiteConfig().without(*without), use_hq=use_hq)
    named_refiners = [named("mask refiner", refiner) for refiner in refiners]
    strategies = StrategyRunner(named("prompt selector", NoPoints()), named_refiners)
    return VideoTracker(segmenter, strategies=strategies, chained=chained, guided=True)


def frames(count=5):
    generator = np.random.default_rng(5)
    for index in range(count):
        image = generator.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        yield Frame(index, index, Fraction(1, 25), image, f"{index:05d}")


def first_labels():
    labels = np.zeros(SIZE, np.uint8)
    labels[8:20, 10:30], labels[24:36, 30:50] = 1, 2
    return labels


def follow(one):
    """The results of all frames."""
    first, *rest = frames()
    beginning = one.begin(first, first_labels())
    state, results = beginning.state, [beginning.result]
    for frame in rest:
        state, result = one.track(beginning.target, state, one.encode(frame))
        results.append(result)
    return results


VARIANTS = [
    {},
    {"use_hq": True},
    {"refiners": (Cascade(),)},
    {"chained": False},
]


@pytest.mark.parametrize("encoder", [1])
def test_results_are_those_of_each_by_itself(encoder):
    model = tiny_lite()
    apart = [follow(tracker(model, **options)) for options in VARIANTS]
    together = follow(SharedTracker([tracker(model, **options) for options in VARIANTS], encoder=encoder))
    for number, alone in enumerate(apart):
        for one, combined in zip(alone, together, strict=True):
            assert np.array_equal(one.labels, combined.results[number].labels)
            assert one.objects == combined.results[number].objects
            assert one.name == combined.name


def test_a_frame_is_encoded_once():
    model = tiny_lite()
    trackers = [tracker(model, **options) for options in VARIANTS]
    segmenters = [one.segmenter for one in trackers]
    follow(SharedTracker(trackers, encoder=1))
    assert [segmenter.encoded for segmenter in segmenters] == [0, 5, 0, 0]


def test_what_strategies_have_in_common_is_located_once():
    model = tiny_lite()
    trackers = [tracker(model, **ONE_LOOK), tracker(model, **ONE_LOOK), tracker(model, use_hq=True, **ONE_LOOK)]
    segmenters = [one.segmenter for one in trackers]
    follow(SharedTracker(trackers, encoder=2))
    assert sum(segmenter.located for segmenter in segmenters) == 4


def test_there_is_one_copy_of_the_model():
    trackers = [tracker(tiny_lite()), tracker(tiny_lite())]
    SharedTracker(trackers, encoder=0)
    assert trackers[1].segmenter.model is trackers[0].segmenter.model


def test_the_first_result_stands_for_all():
    result = follow(SharedTracker([tracker(tiny_lite()), tracker(tiny_lite())]))[1]
    assert isinstance(result, CombinedResult)
    assert result.labels is result.results[0].labels
    assert len(result.seconds) == 2
    assert all(seconds > 0 for seconds in result.seconds)


@pytest.mark.parametrize(("chained", "expected"), [((True, False), True), ((False, False), False)])
def test_frames_are_chained_if_one_needs_it(chained, expected):
    model = tiny_lite()
    assert SharedTracker([tracker(model, chained=one) for one in chained]).chained is expected


def test_counts_are_summed():
    shared = SharedTracker([tracker(tiny_lite(), **ONE_LOOK), tracker(tiny_lite(), **ONE_LOOK)])
    follow(shared)
    assert shared.counts()["decoder_calls"] == 8
    assert set(shared.feature_bytes(shared.encode(next(frames())))) >= {"image", "hq_features"}


class FailingTracker:
    chained = True

    def __init__(self, done, error=None):
        self.done, self.error = done, error

    def track(self, target, state, features):
        if self.error:
            raise self.error
        self.done.wait(0.2)
        self.done.set()
        return state, None


def test_an_error_waits_for_the_others():
    done = threading.Event()
    shared = SharedTracker([FailingTracker(done, RuntimeError("no")), FailingTracker(done)])
    with pytest.raises(RuntimeError, match="no"):
        shared.track((1, 2), (1, 2), None)
    assert done.is_set()


@pytest.mark.usefixtures("stand_in")
class TestSharedJob:
    def jobs(self, *options):
        return [make_job(make_config({"executor": "inline", **own})) for own in options]

    def test_features_are_those_that_serve_all(self):
        job = SharedJob.of(self.jobs({}, {"decoder": "hq"}, {"keep_interm": True}))
        assert (job.config.decoder, job.config.keep_interm) == ("hq", True)
        assert [part.config.decoder for part in job.parts] == ["auto", "hq", "auto"]

    def test_without_hq_the_first_encodes(self):
        assert SharedJob.of(self.jobs({}, {"mode": "independent"})).config.mode == "auto"

    def test_weights_that_were_delivered_are_those_of_all(self, tmp_path, monkeypatch):
        job = SharedJob.of(self.jobs({}, {"mode": "independent"}))
        weights = np.frombuffer(b"other", np.uint8)
        fingerprint = job.fingerprint.model_copy(update={"weights_sha256": hashlib.sha256(b"other").hexdigest()})
        job = replace(job, fingerprint=fingerprint)
        monkeypatch.setattr("persamhq_video.job.job.has_weights", lambda *_: False)
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
        moved = job.delivered(weights)
        assert moved.config.checkpoint.parent.parent == tmp_path
        assert isinstance(moved.build(), SharedTracker)


def test_a_strategy_that_fails_is_named():
    def fails(prediction, prompts, decode, image):
        raise ValueError("lost")

    trackers = [tracker(tiny_lite()), tracker(tiny_lite(), refiners=[fails])]
    with pytest.raises(
        StrategyError, match=r"^--try mine: the mask refiner 'function' .* failed at frame 1: ValueError"
    ):
        follow(SharedTracker(trackers, names=("default", "mine")))
