import pytest
import torch

from persam_hq.types import ImageGeometry, LocationPrior
from persamhq_plugins.prompt_selectors import DensePrior, PersamVideo, TopKPoints, persamhq_register_prompt_selectors
from persamhq_video.plugin.register import Register
from persamhq_video.protocols import FrameInfo, ObjectView

SIZE = (30, 40)
FRAME = FrameInfo(index=3, size=SIZE)
UNSEEN = ObjectView(object_id=1, box=None, mask_logits=None, missing=0)


def view(*box):
    return ObjectView(object_id=1, box=box, mask_logits=None, missing=0)


@pytest.fixture
def prior():
    """Peaks at (5, 7), (20, 9) and (2, 2) in falling order, valleys at (30, 25) and (0, 29)."""
    similarity = torch.zeros(SIZE)
    for value, (x, y) in zip((0.9, 0.8, 0.7, -0.9, -0.8), ((5, 7), (20, 9), (2, 2), (30, 25), (0, 29)), strict=True):
        similarity[y, x] = value
    geometry = ImageGeometry(original=SIZE, input=SIZE, padded=SIZE)
    return LocationPrior(grid=torch.zeros(2, 2), similarity=similarity, geometry=geometry)


@pytest.mark.parametrize(
    ("options", "points", "labels"),
    [
        ({}, [[5, 7], [30, 25]], [1, 0]),
        ({"num_positive": 2, "num_negative": 0}, [[5, 7], [20, 9]], [1, 1]),
        ({"num_positive": 3, "num_negative": 2}, [[5, 7], [20, 9], [2, 2], [30, 25], [0, 29]], [1, 1, 1, 0, 0]),
    ],
)
def test_points_lie_at_peaks_and_valleys(prior, options, points, labels):
    prompts = TopKPoints(**options)(prior, UNSEEN, FRAME)
    assert prompts.points.tolist() == points
    assert prompts.labels.tolist() == labels
    assert prompts.box is None
    assert prompts.mask_input is None


@pytest.mark.parametrize(
    ("box", "grown", "centre"),
    [
        pytest.param((12, 11, 25, 18), (2, 1, 35, 28), [18, 14], id="by 10 px"),
        pytest.param((4, 3, 20, 15), (0, 0, 30, 25), [15, 12], id="clipped above and left"),
        pytest.param((15, 14, 39, 29), (5, 4, 40, 30), [22, 17], id="clipped below and right"),
    ],
)
def test_the_previous_box_is_grown_and_gives_a_point_in_its_middle(prior, box, grown, centre):
    prompts = PersamVideo()(prior, view(*map(float, box)), FRAME)
    assert prompts.box.tolist() == list(grown)
    assert prompts.points.tolist() == [[5, 7], [20, 9], centre]
    assert prompts.labels.tolist() == [1, 1, 1]


def test_without_a_past_persam_video_has_its_peaks_only(prior):
    prompts = PersamVideo(num_positive=1)(prior, UNSEEN, FRAME)
    assert prompts.points.tolist() == [[5, 7]]
    assert prompts.box is None


def test_the_dense_prior_needs_no_prompt(prior):
    prompts = DensePrior()(prior, view(0.0, 0.0, 9.0, 9.0), FRAME)
    assert prompts.points.shape == (0, 2)
    assert (prompts.box, prompts.mask_input) == (None, None)


def test_they_are_offered_by_name_and_say_whether_they_look_back():
    register = Register("prompt selector")
    persamhq_register_prompt_selectors(register)
    needs = {entry.name: entry.factory().needs_history for entry in register.entries()}
    assert needs == {"top_k_points": False, "persam_video": True, "dense_prior": False}
    assert all(entry.summary for entry in register.entries())
