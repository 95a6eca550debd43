import pytest
from stand_ins.frame import FRAME, peaks, registered, view

from persamhq_plugins.prompt_selectors.multi_peak import MultiPeak, persamhq_register_prompt_selectors
from persamhq_video.errors import ConfigError

PRIOR = peaks((0.9, (5, 7)), (0.85, (6, 9)), (0.8, (20, 9)), (0.7, (35, 2)), (0.2, (2, 27)), (-0.9, (30, 25)))


@pytest.mark.parametrize(
    ("options", "positive"),
    [
        pytest.param({}, [[5, 7], [20, 9], [35, 2]], id="one on each instance"),
        pytest.param({"num_positive": 2}, [[5, 7], [20, 9]], id="as many as asked"),
        pytest.param({"reach": 0.01}, [[5, 7], [6, 9], [20, 9], [35, 2]], id="closer together"),
        pytest.param({"threshold": 0.88}, [[5, 7], [20, 9]], id="high ones only"),
        pytest.param({"threshold": 1.0}, [[5, 7]], id="the highest alone"),
        pytest.param({"threshold": 0.1}, [[5, 7], [20, 9], [35, 2], [2, 27]], id="low ones too"),
    ],
)
def test_every_high_peak_gets_a_point(options, positive):
    prompts = MultiPeak(**options)(PRIOR, view(1, 2, 3, 4), FRAME)
    assert prompts.points.tolist() == [*positive, [30, 25]]
    assert prompts.labels.tolist() == [1] * len(positive) + [0]
    assert (prompts.box, prompts.mask_input) == (None, None)


def test_no_negative_points():
    prompts = MultiPeak(num_negative=0)(PRIOR, view(), FRAME)
    assert prompts.labels.tolist() == [1, 1, 1]


def test_negative_points_are_far_from_each_other():
    prior = peaks((0.9, (5, 7)), (-0.9, (30, 25)), (-0.8, (31, 26)), (-0.7, (3, 20)))
    prompts = MultiPeak(num_negative=2)(prior, view(), FRAME)
    assert prompts.points.tolist() == [[5, 7], [30, 25], [3, 20]]
    assert prompts.labels.tolist() == [1, 0, 0]


@pytest.mark.parametrize("options", [{"num_positive": 0}, {"num_negative": -1}, {"threshold": 2}, {"reach": 0}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_prompt_selectors)["multi_peak"].make(options)


def test_it_is_offered_by_name_and_is_pure():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    assert (entry.name, entry.make({}).needs_history) == ("multi_peak", False)
    assert entry.summary
    assert all(option.doc for option in entry.options)
