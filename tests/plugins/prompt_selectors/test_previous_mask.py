import numpy as np
import pytest
from stand_ins.frame import FRAME, UNSEEN, peaks, registered, view

from persamhq_plugins.prompt_selectors.previous_mask import PreviousMask, persamhq_register_prompt_selectors
from persamhq_video.errors import ConfigError

PRIOR = peaks((0.9, (5, 7)), (-0.9, (30, 25)))
LOGITS = np.linspace(-5, 5, 16, dtype=np.float32).reshape(1, 4, 4)


def seen(**changes):
    return view(10, 10, 19, 14, **{"mask_logits": LOGITS, **changes})


@pytest.mark.parametrize(
    ("options", "box", "points"),
    [
        pytest.param({"margin": 0}, [10, 10, 19, 14], [[14, 12]], id="the box as it was"),
        pytest.param({}, [9, 9, 20, 15], [[14, 12]], id="a tenth of the longer side more"),
        pytest.param({"margin": 4}, [0, 0, 40, 30], [[14, 12]], id="never outside the image"),
        pytest.param({"centre": False}, [9, 9, 20, 15], [], id="no point"),
    ],
)
def test_the_last_mask_its_box_and_its_centre_are_the_prompts(options, box, points):
    prompts = PreviousMask(**options)(PRIOR, seen(), FRAME)
    assert prompts.box.tolist() == box
    assert prompts.points.tolist() == points
    assert prompts.labels.tolist() == [1] * len(points)
    assert np.array_equal(prompts.mask_input.numpy(), LOGITS)


@pytest.mark.parametrize(
    ("past", "options"),
    [
        pytest.param(UNSEEN, {}, id="no past"),
        pytest.param(seen(missing=11), {}, id="too long ago"),
        pytest.param(seen(missing=1), {"lost_after": 0}, id="too long ago by option"),
    ],
)
def test_similarity_peaks_where_there_is_no_past(past, options):
    prompts = PreviousMask(**options)(PRIOR, past, FRAME)
    assert prompts.points.tolist() == [[5, 7], [30, 25]]
    assert prompts.labels.tolist() == [1, 0]
    assert (prompts.box, prompts.mask_input) == (None, None)


def test_a_short_absence_is_bridged():
    assert PreviousMask()(PRIOR, seen(missing=10), FRAME).box is not None


def test_a_mask_out_of_sight_is_no_prompt_but_its_box_is():
    prompts = PreviousMask()(PRIOR, seen(mask_logits=np.full((1, 4, 4), -20, np.float32)), FRAME)
    assert prompts.mask_input is None
    assert prompts.box.tolist() == [9, 9, 20, 15]


def test_one_pixel():
    prompts = PreviousMask(margin=1)(PRIOR, view(39, 29, 39, 29, mask_logits=LOGITS), FRAME)
    assert prompts.box.tolist() == [38, 28, 40, 30]
    assert prompts.points.tolist() == [[39, 29]]


@pytest.mark.parametrize("options", [{"margin": -0.1}, {"margin": 5}, {"lost_after": -1}, {"centre": "left"}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_prompt_selectors)["previous_mask"].make(options)


def test_it_is_offered_by_name_and_looks_back():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    assert (entry.name, entry.make({}).needs_history) == ("previous_mask", True)
    assert entry.summary
    assert all(option.doc for option in entry.options)
