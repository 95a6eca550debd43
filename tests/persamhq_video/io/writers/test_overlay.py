"""The texts of the overlay: ids, states and numbers, legible on any ground, and the same bytes each time."""

from fractions import Fraction

import numpy as np
import pytest

from persam_hq.io.images import davis_palette
from persamhq_video.io import Overlay
from persamhq_video.io.writers import overlay
from persamhq_video.io.writers.overlay import write_texts
from persamhq_video.types import FrameResult, ObjectResult


def result(state="present", *, size=(96, 160), place=(slice(30, 70), slice(40, 120)), index=3):
    labels = np.zeros(size, np.uint8)
    labels[place] = state != "absent"
    entry = ObjectResult(1, state, 0.9, 0.5, 0.5, area=int(labels.sum()), box=None)
    return FrameResult(index, 0, Fraction(1, 25), "x", labels, (entry,))


def changed(before, after):
    return (before != after).any(axis=2)


@pytest.mark.parametrize("ground", [0, 128, 255])
@pytest.mark.parametrize("size", [(96, 160), (720, 1280)])
def test_texts_are_white_and_dark_on_any_ground(ground, size):
    image = np.full((*size, 3), ground, np.uint8)
    place = (slice(size[0] // 3, size[0] // 2), slice(size[1] // 3, size[1] // 2))
    texts = write_texts(image, result(size=size, place=place), title="3")
    found = changed(image, texts) | (ground in {0, 255})
    for area in (found[place], found[: size[0] // 5, : size[1] // 5]):
        assert area.any()
    brightness = texts[place].mean(axis=2)
    assert brightness.max() > 200
    assert brightness.min() < 60
    assert (image == ground).all()


@pytest.mark.parametrize(
    "place", [(slice(0, 5), slice(0, 5)), (slice(91, 96), slice(155, 160)), (slice(0, 1), slice(0, 160))]
)
def test_texts_at_the_edge_stay_inside(place):
    image = np.full((96, 160, 3), 128, np.uint8)
    inside = write_texts(image, result("uncertain", place=place), title="")
    middle = write_texts(image, result("uncertain"), title="")
    assert changed(image, inside).sum() == pytest.approx(changed(image, middle).sum(), rel=0.05)


def test_states_and_numbers_show():
    image = np.full((96, 160, 3), 128, np.uint8)
    drawn = {
        state: write_texts(image, result(state), title="3") for state in ("given", "present", "uncertain", "absent")
    }
    assert (drawn["given"] == drawn["present"]).all()
    assert changed(drawn["present"], drawn["uncertain"])[40:60].any()
    assert changed(drawn["present"], drawn["absent"])[:20].any()
    plain = Overlay().result_picture(image, result()).to_ndarray()
    numbered = Overlay(source_frame=lambda index: 40 + index).result_picture(image, result()).to_ndarray()
    assert (plain != numbered).any()
    assert (plain == Overlay().result_picture(image, result()).to_ndarray()).all()


def test_no_two_objects_have_one_colour():
    assert len(np.unique(overlay._PALETTE, axis=0)) == len(np.unique(davis_palette(), axis=0)) == 256
