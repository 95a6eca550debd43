import pytest
import torch
from stand_ins.frame import RecordingDecode, predicted, rectangles, registered

from persam_hq.types import PromptSet
from persamhq_plugins.mask_refiners.cascade import Cascade, persamhq_register_mask_refiners

BOX = torch.tensor([0.0, 0, 5, 5])
EMPTY = rectangles()


@pytest.fixture
def prompts():
    return [
        PromptSet.from_points(positive=[[1.0, 2]], box=BOX),
        PromptSet.from_points(positive=[[3.0, 4]], negative=[[5.0, 6]]),
    ]


def test_the_mask_is_the_prompt_and_then_the_mask_and_its_box(prompts):
    second = predicted(rectangles((2, 3, 7, 9)), rectangles((0, 0, 12, 10)), mark=20.0)
    third = predicted(rectangles((2, 3, 7, 8)), rectangles((1, 1, 4, 4)), mark=30.0)
    decode = RecordingDecode(second, third)
    first = predicted(rectangles((1, 1, 3, 3)), rectangles((4, 4, 10, 10)), mark=10.0)
    result = Cascade()(first, prompts, decode, None)

    assert result is third
    assert len(decode.asked) == 2
    for row, (first_again, with_box) in enumerate(zip(*decode.asked, strict=True)):
        for asked in (first_again, with_box):
            assert torch.equal(asked.points, prompts[row].points)
            assert torch.equal(asked.labels, prompts[row].labels)
        assert first_again.box is None
        assert torch.equal(first_again.mask_input, torch.full((1, 4, 4), 10.0 + row))
        assert torch.equal(with_box.mask_input, torch.full((1, 4, 4), 20.0 + row))
    assert [asked.box.tolist() for asked in decode.asked[1]] == [[2, 3, 6, 8], [0, 0, 11, 9]]


def test_where_the_second_mask_is_empty_there_is_no_box(prompts):
    decode = RecordingDecode(predicted(EMPTY, rectangles((1, 2, 4, 5)), mark=20.0), predicted(EMPTY, EMPTY))
    Cascade()(predicted(rectangles((1, 1, 3, 3)), EMPTY, mark=10.0), prompts, decode, None)
    first, second = decode.asked[1]
    assert first.box is None
    assert first.mask_input is not None
    assert second.box.tolist() == [1, 2, 3, 4]


def test_the_prompts_that_were_handed_in_stay_as_they_were(prompts):
    decode = RecordingDecode(predicted(EMPTY, EMPTY), predicted(EMPTY, EMPTY))
    Cascade()(predicted(EMPTY, EMPTY), prompts, decode, None)
    assert prompts[0].box is BOX
    assert all(prompt.mask_input is None for prompt in prompts)


def test_it_is_offered_by_name():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert entry.name == "cascade"
    assert isinstance(entry.make({}), Cascade)
    assert entry.summary
