"""With the embedded weights: what is not there is absent, and comes back."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from persamhq_video.config import RunConfig
from persamhq_video.job.prepare import make_job
from persamhq_video.types import Frame

pytestmark = pytest.mark.slow

SIZE = (240, 320)


def texture(seed, low, high, cells=(12, 16)):
    """A smooth random picture, (H, W, 3) uint8, of colours in a range."""
    small = np.random.default_rng(seed).integers(low, high, (*cells, 3)).astype(np.uint8)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def tiles():
    """Another picture: hard edges, all colours."""
    small = np.random.default_rng(7).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    return small.repeat(30, axis=0).repeat(32, axis=1)


def disc(step):
    """(H, W) bool: a disc that moves to the right."""
    mask = np.zeros(SIZE, np.uint8)
    cv2.circle(mask, (120 + 4 * step, 130), 45, 1, -1)
    return mask > 0


def scene(step):
    """A bright, striped disc on a dark ground."""
    image = texture(1, 0, 90)
    ball = np.roll(texture(2, 120, 255, cells=(40, 6)), 4 * step, axis=1)
    image[disc(step)] = ball[disc(step)]
    return image


@pytest.fixture(scope="module")
def tracker():
    return make_job(RunConfig(model="lite")).build()


@pytest.mark.parametrize(
    "elsewhere",
    [np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 255, np.uint8), tiles()],
    ids=["black", "white", "tiles"],
)
def test_an_object_is_absent_while_another_picture_is_shown(tracker, elsewhere):
    images = [scene(0), scene(1), scene(2), elsewhere, elsewhere, scene(3), scene(4)]
    frames = [Frame(i, i, Fraction(1, 25), image, f"{i}") for i, image in enumerate(images)]
    begun = tracker.begin(frames[0], disc(0).astype(np.uint8))
    state, results = begun.state, []
    for frame in frames[1:]:
        state, result = tracker.track(begun.target, state, tracker.encode(frame))
        results.append(result)
    assert [r.objects[0].state for r in results] == ["present", "present", "absent", "absent", "present", "present"]
    assert [bool(r.labels.any()) for r in results] == [True, True, False, False, True, True]
    assert [r.objects[0].score > 0 for r in results] == [True, True, False, False, True, True]
    back = results[-1].labels > 0
    assert (back & disc(4)).sum() / (back | disc(4)).sum() > 0.9
