import pytest
import torch
from stand_ins.frame import predicted, rectangles, registered

from persam_hq.types import PromptSet
from persamhq_plugins.mask_refiners.hq_only import HqOnly, persamhq_register_mask_refiners


class HqDecode:
    """Answers to `hq_only` with one prediction and keeps the prompts."""

    def __init__(self, prediction):
        self.prediction, self.asked = prediction, []

    def hq_only(self, prompts):
        self.asked.append(list(prompts))
        return self.prediction


@pytest.fixture
def prompts():
    return [
        PromptSet.from_points(positive=[[1.0, 2]], box=torch.tensor([0.0, 0, 5, 5])),
        PromptSet.from_points(mask_input=torch.full((1, 4, 4), 9.0)),
    ]


@pytest.mark.parametrize(("with_mask", "marks"), [(True, [10.0, 11.0]), (False, [None, 9.0])])
def test_the_hq_token_is_asked_once_for_all(prompts, with_mask, marks):
    answer = predicted(rectangles((1, 1, 3, 3)), rectangles())
    decode = HqDecode(answer)
    before = predicted(rectangles((1, 1, 4, 4)), rectangles(), mark=10.0)
    assert HqOnly(with_mask=with_mask)(before, prompts, decode, None) is answer

    (asked,) = decode.asked
    for row, prompt in enumerate(asked):
        assert torch.equal(prompt.points, prompts[row].points)
        assert prompt.box is prompts[row].box
        if marks[row] is None:
            assert prompt.mask_input is None
        else:
            assert prompt.mask_input.eq(marks[row]).all()


def test_the_prompts_that_were_handed_in_stay_as_they_were(prompts):
    HqOnly()(predicted(rectangles(), rectangles()), prompts, HqDecode(None), None)
    assert prompts[0].mask_input is None


def test_it_is_offered_by_name_and_needs_the_hq_token():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert (entry.name, entry.make({}).needs_hq) == ("hq_only", True)
    assert entry.summary
    assert all(option.doc for option in entry.options)
