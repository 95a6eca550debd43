import numpy as np
import torch
from golden.fixtures import fixture_image, fixture_mask
from stand_ins.training import sam_config, tiny_recipe

from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.training.data.views import View
from persam_hq.training.validation_picture import FOUND, GAP, NEGATIVE, POSITIVE, TILE, TRUTH, picture_row

VIEW = View(image=fixture_image(48, 64), mask=fixture_mask(48, 64).astype(np.uint8))


def tiles(prompts, logits):
    row = picture_row(VIEW, prompts, logits, title="").reshape(TILE + GAP, 4, TILE + GAP, 3)
    return [row[:TILE, index, :TILE].astype(int) for index in range(4)]


def coloured(tile, plain, colour):
    """Where a tile is half that colour."""
    return np.abs(tile - (plain + np.array(colour)) // 2).max(axis=2) <= 1


def test_a_row_shows_image_prompt_truth_and_prediction():
    logits = torch.full((16, 16), -1.0)
    logits[:, :8] = 1
    image, prompt, truth, found = tiles(PromptBatch(), logits)
    assert np.array_equal(image, prompt)
    assert image[200:].max() == 0  # padding
    inside = coloured(truth, image, TRUTH)[:192]
    assert abs(inside.mean() - VIEW.mask.mean()) < 0.02
    assert coloured(found, image, FOUND)[:192, :124].all()
    assert not coloured(found, image, FOUND)[:192, 132:].any()


def test_prompts_are_drawn_where_they_are():
    points = (torch.tensor([[[16.0, 16], [48, 32]]]), torch.tensor([[1.0, 0.0]]))
    masks = torch.full((1, 1, 16, 16), -5.0)
    masks[..., 12:] = 5
    boxes = torch.tensor([[4.0, 4, 60, 44]])
    image, prompt, *_ = tiles(PromptBatch(points=points, boxes=boxes, masks=masks), torch.zeros(16, 16))
    assert prompt[66, 66].tolist() == list(POSITIVE)
    assert prompt[130, 194].tolist() == list(NEGATIVE)
    assert prompt[18, 100].tolist() == list(POSITIVE)
    assert coloured(prompt, image, POSITIVE)[100, 210:230].all()


def test_the_same_picture_comes_again_and_the_model_is_left_as_it_was():
    recipe = tiny_recipe(sam_config(validation_rows=6))
    before = {name: value.clone() for name, value in recipe.model.state_dict().items()}
    first, again = recipe.validate(), recipe.validate()
    assert np.array_equal(first.picture, again.picture)
    assert first.picture.shape == (6 * (TILE + GAP), 4 * (TILE + GAP), 3)
    assert 0 <= first.figures["iou_validation"] <= 1
    assert all(torch.equal(value, before[name]) for name, value in recipe.model.state_dict().items())
