from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins.lite import GRID, tiny_lite

from persam_hq.errors import InputError
from persam_hq.modeling.lite.location_prior import PREVIOUS_MASK_CHANNELS
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT
from persam_hq.prompting import PromptPolicy, encode_image, segment_prompts
from persam_hq.types import Guidance, PromptSet

SIZE = (100, 150)
BOX = PromptSet.from_points(box=torch.tensor([20.0, 30, 60, 66]))
POINT = PromptSet.from_points(positive=[(40.0, 50.0)])


@pytest.fixture(scope="module")
def model():
    return tiny_lite()


@pytest.fixture(scope="module")
def features(model):
    return encode_image(model, np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8))


class Follows:
    """A decoder whose masks are what the prior says of the last mask, and that remembers where it looked."""

    def __init__(self, model, monkeypatch):
        self.decode, self.windows, self.guided = model.decode, [], []
        monkeypatch.setattr(model, "decode", self)

    def __call__(self, seen, *, prior, prompts, guidance):
        self.windows.append(seen.windows)
        self.guided.append(guidance.target_embedding is not None)
        output = self.decode(seen, prior=prior, prompts=prompts, guidance=guidance)
        last = torch.nn.functional.pixel_shuffle(prior[:, PREVIOUS_MASK_CHANNELS], 2)
        return replace(output, masks=9 * last.expand_as(output.masks), hq_masks=None)


@pytest.fixture
def follows(model, monkeypatch):
    return Follows(model, monkeypatch)


@pytest.mark.parametrize("prompts", [BOX, POINT], ids=["box", "point"])
@pytest.mark.parametrize(("multimask_output", "count"), [(True, 3), (False, 1)])
def test_three_masks_or_one(model, features, prompts, multimask_output, count):
    found = segment_prompts(model, features, prompts, multimask_output=multimask_output)
    assert found.masks.shape == found.logits.shape == (count, *SIZE)
    assert found.low_res_logits.shape == (count, 256, 256)
    assert found.scores.shape == (count,)
    assert torch.isfinite(found.logits).all()


def test_a_box_comes_back_from_a_decoder_that_follows(model, features, follows):
    found = segment_prompts(model, features, BOX, multimask_output=False, policy=PromptPolicy(min_side=8.0))
    want = torch.zeros(SIZE, dtype=torch.bool)
    want[30:66, 20:60] = True
    both, either = (found.masks[0] & want).sum(), (found.masks[0] | want).sum()
    assert both / either > 0.8
    assert found.logits[0, 5, 140] == OUTSIDE_LOGIT


def test_low_resolution_logits_are_a_mask_prompt_for_the_same_place(model, features, follows):
    first = segment_prompts(model, features, BOX, multimask_output=False)
    again = PromptSet.from_points(mask_input=first.low_res_logits)
    second = segment_prompts(model, features, again, multimask_output=False)
    both, either = (first.masks & second.masks).sum(), (first.masks | second.masks).sum()
    assert both / either > 0.8


def test_it_looks_again_as_often_as_the_policy_says(model, features, follows):
    segment_prompts(model, features, POINT, policy=PromptPolicy(point_sides=(48.0,), passes=2, followed=5))
    assert [len(windows) for windows in follows.windows] == [3, 5, 5]
    sides = follows.windows[0][:, 2] - follows.windows[0][:, 0]
    assert sides.tolist() == [48, 100, 150]


def test_one_mask_alone_is_looked_at_where_one_is_wanted(model, features, follows):
    policy = PromptPolicy(point_sides=(48.0,), passes=2)
    segment_prompts(model, features, POINT, multimask_output=False, policy=policy)
    assert [len(windows) for windows in follows.windows] == [3, 1, 1]


def test_the_first_of_three_is_the_one_that_comes_alone(model, features):
    three = segment_prompts(model, features, POINT)
    one = segment_prompts(model, features, POINT, multimask_output=False)
    assert torch.allclose(three.logits[0], one.logits[0], atol=1e-4)
    assert torch.allclose(three.scores[0], one.scores[0], atol=1e-5)


def grown(output, *, cells):
    """Masks of a decoder as plain squares, `cells` (B, 4) of them a side."""
    b, n, side, _ = output.masks.shape
    at = (torch.arange(side) + 0.5 - side / 2).abs() * 2
    inside = (at[:, None] < cells[..., None, None]) & (at < cells[..., None, None])
    return replace(output, masks=torch.where(inside, 9.0, -9.0), iou_predictions=torch.full((b, n), 0.5), hq_masks=None)


def test_what_closer_looks_make_alike_is_offered_as_it_was_seen_first(model, features, monkeypatch):
    looks = []

    def decode(seen, **given):
        looks.append(len(seen.windows))
        sizes = [16.0, 8, 16, 20] if len(looks) == 1 else [16.0] * 4
        return grown(whole_decode(seen, **given), cells=torch.tensor(sizes).expand(len(seen.windows), 4))

    whole_decode = model.decode
    monkeypatch.setattr(model, "decode", decode)
    mask = PromptSet.from_points(box=torch.tensor([20.0, 30, 60, 66]))
    areas = segment_prompts(model, features, mask).masks.flatten(1).sum(dim=1)
    assert areas[1] > areas[0] > areas[2] > 0


def test_only_the_first_look_is_guided(model, features, follows):
    _, c, h, w = features.image_embedding.shape
    guidance = Guidance(attn_sim=torch.rand(1, 1, 1, h * w), target_embedding=torch.ones(1, 1, c))
    segment_prompts(model, features, POINT, guidance=guidance, policy=PromptPolicy(passes=2))
    assert follows.guided == [True, False, False]


def test_guidance_changes_the_result(model, features):
    _, c, h, w = features.image_embedding.shape
    plain = segment_prompts(model, features, BOX, policy=PromptPolicy(passes=1))
    for guidance in (Guidance(attn_sim=5 * torch.rand(1, 1, 1, h * w)), Guidance(target_embedding=torch.ones(1, 1, c))):
        guided = segment_prompts(model, features, BOX, guidance=guidance, policy=PromptPolicy(passes=1))
        assert not torch.equal(guided.logits, plain.logits)


def test_the_hq_mask_alone(model, features):
    both = segment_prompts(model, features, BOX, multimask_output=False)
    alone = segment_prompts(model, features, BOX, multimask_output=False, hq_token_only=True)
    assert not torch.equal(both.logits, alone.logits)
    with pytest.raises(InputError, match="no HQ parts"):
        segment_prompts(tiny_lite(hq=False), features, BOX, hq_token_only=True)


def test_a_model_without_hq_parts(features):
    plain = tiny_lite(hq=False)
    image = np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    assert segment_prompts(plain, encode_image(plain, image), BOX).masks.shape == (3, *SIZE)


def test_features_hold_the_hq_features(features):
    assert features.hq_features is not None
    assert features.image_embedding.shape[0] == 1
    assert GRID == 6


def test_masks_come_from_a_closer_look():
    with pytest.raises(InputError, match="passes is 0; the masks come from a closer look"):
        PromptPolicy(passes=0)
