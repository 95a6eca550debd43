import pytest
import torch

from persam_hq.errors import InputError
from persam_hq.prompting.prompt_map import PromptMap
from persam_hq.types import ImageGeometry, PromptSet

GEOMETRY = ImageGeometry(original=(50, 100), input=(100, 200), padded=(128, 224))
WHOLE = torch.tensor([[0.0, 0, 200, 100]])


def drawn(**prompts):
    points = {"points": torch.zeros(0, 2), "labels": torch.zeros(0)}
    prompt = PromptSet(**(points | prompts))
    return PromptMap.from_prompts(prompt, GEOMETRY, radius=0.1, device=torch.device("cpu"))


def points(*rows):
    return {"points": torch.tensor([row[:2] for row in rows]), "labels": torch.tensor([row[2] for row in rows])}


def test_positions_are_those_of_the_input():
    prompt = drawn(**points((10.0, 20.0, 1.0), (30.0, 40.0, 0.0)), box=torch.tensor([5.0, 10, 50, 45]))
    assert prompt.points.tolist() == [[20, 40], [60, 80]]
    assert prompt.foreground.tolist() == [[20, 40]]
    assert prompt.box.tolist() == [10, 20, 100, 90]


def test_every_window_gets_the_tokens():
    prompt = drawn(**points((10.0, 20.0, 1.0), (30.0, 40.0, 0.0)), box=torch.tensor([5.0, 10, 50, 45]))
    tokens = prompt.tokens(3)
    assert tokens.points[0].shape == (3, 2, 2)
    assert tokens.points[1].tolist() == [[1, 0]] * 3
    assert tokens.boxes.shape == (3, 4)
    assert tokens.masks is None
    assert drawn(box=torch.tensor([5.0, 10, 50, 45])).tokens(1).points is None


def test_a_box_is_filled():
    shapes = drawn(box=torch.tensor([25.0, 10, 75, 40])).render(WHOLE, grid=20)
    assert shapes[0, 0, 4:16, 5:15].min() == 1
    assert shapes.sum() == 120


def test_a_point_is_a_disk_and_a_background_point_a_hole():
    shapes = drawn(**points((50.0, 25.0, 1.0))).render(WHOLE, grid=40)
    assert shapes[0, 0, 20, 20] == 1
    assert shapes[0, 0, 0, 0] == 0
    holed = drawn(**points((80.0, 25.0, 0.0)), box=torch.tensor([0.0, 0, 100, 50])).render(WHOLE, grid=40)
    assert holed[0, 0, 20, 32] == 0
    assert holed[0, 0, 20, 5] == 1


def test_a_mask_prompt_is_drawn_where_it_is_on_the_image():
    logits = torch.full((1, 64, 112), -9.0)
    logits[:, 10:30, 20:60] = 9
    shapes = drawn(mask_input=logits).render(WHOLE, grid=100)
    assert shapes[0, 0, 22:58, 22:58].min() > 0.99
    assert shapes[0, 0, :18].max() < 0.01


def test_a_box_limits_later_results():
    prompt = drawn(box=torch.tensor([0.0, 0, 50, 50]))
    limited = prompt.restrict(torch.ones(1, 1, 10, 10), WHOLE)
    assert limited[..., :5].min() == 1
    assert limited[..., 5:].max() == 0


@pytest.mark.parametrize("prompts", [{}, points((3.0, 4.0, 0.0))])
def test_something_has_to_be_meant(prompts):
    with pytest.raises(InputError, match="no foreground point, box or mask; give at least one"):
        drawn(**prompts)


def test_it_shows_what_is_given():
    assert repr(drawn(box=torch.tensor([0.0, 0, 50, 50]))) == "PromptMap(points=0, box=True, mask=False)"
