import numpy as np
import pytest
import torch

from persam_hq.types import MaskPrediction, PromptSet
from persamhq_plugins.mask_refiners import Cascade, DropSpecks, persamhq_register_mask_refiners
from persamhq_video.plugin.register import Register

IMAGE = np.zeros((10, 12, 3), np.uint8)
BOX = torch.tensor([0.0, 0, 5, 5])


def prediction(boxes, *, mark):
    """One mask an object, filling its box (x0, y0, x1, y1) or empty; `mark` is its every low-resolution logit."""
    masks = torch.zeros(len(boxes), 10, 12, dtype=torch.bool)
    for mask, box in zip(masks, boxes, strict=True):
        if box is not None:
            x0, y0, x1, y1 = box
            mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return MaskPrediction(
        masks=masks,
        scores=torch.ones(len(boxes)),
        low_res_logits=mark + torch.arange(len(boxes))[:, None, None].expand(-1, 4, 4).float(),
        logits=masks.float(),
    )


class RecordingDecode:
    """Gives the predictions it was made with, in order, and keeps the prompts it was asked with."""

    def __init__(self, *predictions):
        self.predictions, self.asked = list(predictions), []

    def __call__(self, prompts):
        self.asked.append(prompts)
        return self.predictions[len(self.asked) - 1]


@pytest.fixture
def prompts():
    return [
        PromptSet.from_points(positive=[[1.0, 2]], box=BOX),
        PromptSet.from_points(positive=[[3.0, 4]], negative=[[5.0, 6]]),
    ]


def test_the_mask_is_the_prompt_and_then_the_mask_and_its_box(prompts):
    second = prediction([(2, 3, 6, 8), (0, 0, 11, 9)], mark=20.0)
    third = prediction([(2, 3, 6, 7), (1, 1, 3, 3)], mark=30.0)
    decode = RecordingDecode(second, third)
    result = Cascade()(prediction([(1, 1, 2, 2), (4, 4, 9, 9)], mark=10.0), prompts, decode, IMAGE)

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
    decode = RecordingDecode(prediction([None, (1, 2, 3, 4)], mark=20.0), prediction([None, None], mark=30.0))
    Cascade()(prediction([(1, 1, 2, 2), None], mark=10.0), prompts, decode, IMAGE)
    first, second = decode.asked[1]
    assert first.box is None
    assert first.mask_input is not None
    assert second.box.tolist() == [1, 2, 3, 4]


def test_the_prompts_that_were_handed_in_stay_as_they_were(prompts):
    decode = RecordingDecode(prediction([None, None], mark=20.0), prediction([None, None], mark=30.0))
    Cascade()(prediction([None, None], mark=10.0), prompts, decode, IMAGE)
    assert prompts[0].box is BOX
    assert all(prompt.mask_input is None for prompt in prompts)


def test_it_is_offered_by_name():
    register = Register("mask refiner")
    persamhq_register_mask_refiners(register)
    assert [entry.name for entry in register.entries()] == ["cascade", "drop_specks"]
    assert isinstance(register.make("cascade"), Cascade)


def spotted(*rectangles, size=(60, 80)):
    """A prediction of one object whose mask is these rectangles (x0, y0, x1, y1), last column and row excluded."""
    mask = torch.zeros(1, *size, dtype=torch.bool)
    for x0, y0, x1, y1 in rectangles:
        mask[0, y0:y1, x0:x1] = True
    logits = torch.where(mask, 3.0, -3.0)
    return MaskPrediction(masks=mask, scores=torch.ones(1), low_res_logits=torch.zeros(1, 4, 4), logits=logits)


@pytest.mark.parametrize(
    ("name", "part", "kept"),
    [
        ("small and far", (70, 50, 72, 52), False),
        ("small and near", (31, 12, 33, 14), True),
        ("large and far", (50, 40, 60, 50), True),
    ],
)
def test_only_small_parts_far_away_are_dropped(name, part, kept):
    body = (10, 10, 30, 30)
    found = DropSpecks()(spotted(body, part), [PromptSet.from_points()], None, IMAGE)
    expected = spotted(body, part) if kept else spotted(body)
    assert torch.equal(found.masks, expected.masks), name
    assert torch.equal(found.masks, found.logits > 0)


def test_an_empty_mask_has_no_specks():
    assert not DropSpecks()(spotted(), [PromptSet.from_points()], None, IMAGE).masks.any()
