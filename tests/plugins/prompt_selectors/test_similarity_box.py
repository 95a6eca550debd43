import pytest
import torch
from stand_ins.frame import FRAME, SIZE, prior_of, registered, view

from persamhq_plugins.prompt_selectors.similarity_box import SimilarityBox, persamhq_register_prompt_selectors
from persamhq_video.errors import ConfigError


@pytest.fixture
def prior():
    """A hill 10 wide and 5 high with its peak at (12, 11), and a lower one elsewhere."""
    similarity = torch.zeros(SIZE)
    similarity[10:15, 10:20] = 0.6
    similarity[11, 12] = 1.0
    similarity[20:28, 30:40] = 0.7
    return prior_of(similarity)


@pytest.mark.parametrize(
    ("options", "box"),
    [
        pytest.param({"margin": 0}, [10, 10, 19, 14], id="the hill"),
        pytest.param({}, [9, 9, 20, 15], id="grown by a tenth of its longer side"),
        pytest.param({"margin": 0, "threshold": 0.9}, [12, 11, 12, 11], id="the peak alone"),
        pytest.param({"margin": 4}, [0, 0, 40, 30], id="never outside the image"),
    ],
)
def test_the_box_is_around_the_region_of_the_peak(prior, options, box):
    prompts = SimilarityBox(**options)(prior, view(1, 2, 3, 4), FRAME)
    assert prompts.box.tolist() == box
    assert prompts.points.tolist() == [[12, 11]]
    assert prompts.labels.tolist() == [1]


def test_a_similarity_without_a_peak_is_the_whole_image():
    prompts = SimilarityBox()(prior_of(torch.full(SIZE, 0.2)), view(), FRAME)
    assert prompts.box.tolist() == [0, 0, 40, 30]


def test_half_precision_will_do(prior):
    half = prior_of(prior.similarity.bfloat16())
    assert SimilarityBox(margin=0)(half, view(), FRAME).box.tolist() == [10, 10, 19, 14]


@pytest.mark.parametrize("options", [{"threshold": 1.1}, {"margin": -1}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_prompt_selectors)["similarity_box"].make(options)


def test_it_is_offered_by_name_and_is_pure():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    assert (entry.name, entry.make({}).needs_history) == ("similarity_box", False)
    assert entry.summary
    assert all(option.doc for option in entry.options)
