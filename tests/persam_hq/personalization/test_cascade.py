import pytest
import torch

from persam_hq.personalization import cascade, refine, refine_weighed
from persam_hq.types import Guidance, MaskPrediction, PromptSet

PROMPTS = PromptSet.from_points(positive=[(3, 2)], negative=[(0, 0)])


class RecordingDecoder:
    """Answers with masks of its own and keeps what it was asked."""

    def __init__(self, second):
        self.second, self.calls = second, []

    def __call__(self, prompts, *, multimask_output, guidance=None):
        self.calls.append((prompts, multimask_output, guidance))
        masks = torch.zeros(3 if multimask_output else 1, 6, 8, dtype=torch.bool)
        scores = torch.tensor([0.2, 0.9, 0.3])[: len(masks)]
        if multimask_output:
            masks[1] = self.second
        number = len(self.calls)
        low_res = torch.arange(len(masks))[:, None, None] + torch.full((len(masks), 2, 2), 10.0 * number)
        return MaskPrediction(masks=masks, scores=scores, low_res_logits=low_res, logits=masks.float())


def blob():
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[2:4, 1:6] = True
    return mask


def test_three_passes_hand_on_what_they_found():
    decoder, guidance = RecordingDecoder(blob()), Guidance(target_embedding=torch.zeros(1, 1, 4))
    steps = cascade(decoder, PROMPTS, guidance=guidance)
    (first, one, guided), (second, many, plain), (third, many_again, plain_again) = decoder.calls
    assert (one, many, many_again) == (False, True, True)
    assert (guided, plain, plain_again) == (guidance, None, None)
    assert first is PROMPTS
    assert (second.mask_input == 10).all()
    assert second.box is None
    assert (third.mask_input == 21).all()
    assert third.box.tolist() == [1, 2, 5, 3]
    assert all(call[0].points is PROMPTS.points for call in decoder.calls)
    assert [step.masks.shape[0] for step in steps] == [1, 3, 3]


def test_an_empty_mask_gives_no_box():
    decoder = RecordingDecoder(torch.zeros(6, 8, dtype=torch.bool))
    assert len(cascade(decoder, PROMPTS)) == 3
    assert decoder.calls[-1][0].box is None
    assert decoder.calls[-1][0].mask_input is not None


def test_refining_starts_from_given_logits():
    decoder = RecordingDecoder(blob())
    assert len(refine(decoder, PROMPTS, torch.full((1, 2, 2), 5.0))) == 2
    assert (decoder.calls[0][0].mask_input == 5).all()


@pytest.mark.parametrize("first_mask", [blob(), torch.zeros(6, 8, dtype=torch.bool)], ids=["some", "empty"])
def test_refining_a_weighed_mask_gives_every_pass_a_box(first_mask):
    decoder = RecordingDecoder(blob().roll(1, dims=0))
    low_res = torch.full((1, 2, 2), 7.0)
    first = MaskPrediction(
        masks=first_mask[None], scores=torch.ones(1), low_res_logits=low_res, logits=first_mask[None].float()
    )
    assert len(refine_weighed(decoder, PROMPTS, first)) == 2
    (second, many, plain), (third, many_again, plain_again) = decoder.calls
    assert (many, many_again, plain, plain_again) == (True, True, None, None)
    assert (second.mask_input == 7).all()
    assert second.box is None if not first_mask.any() else second.box.tolist() == [1, 2, 5, 3]
    assert third.box.tolist() == [1, 3, 5, 4]
    assert (third.mask_input == 11).all()
