import pytest
from stand_ins.frame import FRAME, UNSEEN, peaks, registered, view

from persamhq_plugins.prompt_selectors.top_k_points import TopKPoints, persamhq_register_prompt_selectors
from persamhq_video.errors import ConfigError

PRIOR = peaks((0.9, (5, 7)), (0.8, (20, 9)), (0.7, (2, 2)), (-0.9, (30, 25)), (-0.8, (0, 29)))


@pytest.mark.parametrize(
    ("options", "points", "labels"),
    [
        ({}, [[5, 7], [30, 25]], [1, 0]),
        ({"num_positive": 2, "num_negative": 0}, [[5, 7], [20, 9]], [1, 1]),
        ({"num_positive": 3, "num_negative": 2}, [[5, 7], [20, 9], [2, 2], [30, 25], [0, 29]], [1, 1, 1, 0, 0]),
    ],
)
def test_points_lie_at_peaks_and_valleys(options, points, labels):
    prompts = TopKPoints(**options)(PRIOR, UNSEEN, FRAME)
    assert prompts.points.tolist() == points
    assert prompts.labels.tolist() == labels
    assert prompts.box is None
    assert prompts.mask_input is None


def test_the_past_changes_nothing():
    prompts = TopKPoints()(PRIOR, view(1, 2, 3, 4, missing=3), FRAME)
    assert prompts.points.tolist() == [[5, 7], [30, 25]]
    assert prompts.box is None


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_positive": 0}, "option 'num_positive' .*greater"), ({"num_negative": -1}, "option 'num_negative'")],
)
def test_options_have_limits(options, message):
    with pytest.raises(ConfigError, match=message):
        registered(persamhq_register_prompt_selectors)["top_k_points"].make(options)


def test_it_is_offered_by_name_and_looks_at_no_past():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    assert (entry.name, entry.make({}).needs_history) == ("top_k_points", False)
    assert entry.summary
    assert all(option.doc for option in entry.options)
