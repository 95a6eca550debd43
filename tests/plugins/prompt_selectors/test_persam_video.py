import pytest
from stand_ins.frame import FRAME, UNSEEN, peaks, registered, view

from persamhq_plugins.prompt_selectors.persam_video import PersamVideo, persamhq_register_prompt_selectors
from persamhq_video.errors import ConfigError

PRIOR = peaks((0.9, (5, 7)), (0.8, (20, 9)), (0.7, (2, 2)))


@pytest.mark.parametrize(
    ("box", "grown", "centre"),
    [
        pytest.param((12, 11, 25, 18), (2, 1, 35, 28), [18, 14], id="by 10 px"),
        pytest.param((4, 3, 20, 15), (0, 0, 30, 25), [15, 12], id="clipped above and left"),
        pytest.param((15, 14, 39, 29), (5, 4, 40, 30), [22, 17], id="clipped below and right"),
    ],
)
def test_the_previous_box_is_grown_and_gives_a_point_in_its_middle(box, grown, centre):
    prompts = PersamVideo()(PRIOR, view(*box), FRAME)
    assert prompts.box.tolist() == list(grown)
    assert prompts.points.tolist() == [[5, 7], [20, 9], centre]
    assert prompts.labels.tolist() == [1, 1, 1]


def test_the_margin_is_an_option():
    prompts = PersamVideo(margin=0)(PRIOR, view(12, 11, 25, 18), FRAME)
    assert prompts.box.tolist() == [12, 11, 25, 18]


def test_without_a_past_there_are_its_peaks_only():
    prompts = PersamVideo(num_positive=1)(PRIOR, UNSEEN, FRAME)
    assert prompts.points.tolist() == [[5, 7]]
    assert prompts.box is None


def test_a_negative_margin_is_refused():
    with pytest.raises(ConfigError, match=r"option .margin. .*greater than or equal to 0"):
        registered(persamhq_register_prompt_selectors)["persam_video"].make({"margin": -1})


def test_it_is_offered_by_name_and_looks_back():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    assert (entry.name, entry.make({}).needs_history) == ("persam_video", True)
    assert entry.summary
    assert all(option.doc for option in entry.options)
