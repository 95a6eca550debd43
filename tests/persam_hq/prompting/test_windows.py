import pytest
import torch

from persam_hq.prompting.policy import PromptPolicy
from persam_hq.prompting.prompt_map import PromptMap
from persam_hq.prompting.windows import closer_windows, first_windows
from persam_hq.types import ImageGeometry, PromptSet

GEOMETRY = ImageGeometry(original=(240, 400), input=(240, 400), padded=(256, 416))
POLICY = PromptPolicy(box_factor=1.5, point_sides=(50.0, 100.0, 500.0), closer_factor=2.0, min_side=40.0)


def drawn(points=(), box=None, mask=None):
    prompts = PromptSet.from_points(positive=list(points), box=box, mask_input=mask)
    return PromptMap.from_prompts(prompts, GEOMETRY, radius=0.1, device=torch.device("cpu"))


def sizes(windows):
    return (windows[:, 2:] - windows[:, :2]).tolist()


def test_one_window_around_a_box():
    assert first_windows(drawn(box=torch.tensor([100.0, 80, 180, 120])), GEOMETRY, POLICY).tolist() == [
        [80, 40, 200, 160]
    ]


def test_windows_of_several_sizes_around_a_point_and_the_whole_image():
    windows = first_windows(drawn([(200.0, 100.0)]), GEOMETRY, POLICY)
    assert sizes(windows) == [[50, 50], [100, 100], [240, 240], [400, 240]]
    assert windows[0].tolist() == [175, 75, 225, 125]


def test_points_far_apart_need_large_windows():
    windows = first_windows(drawn([(150.0, 100.0), (250.0, 100.0)]), GEOMETRY, POLICY)
    assert sizes(windows) == [[160, 160], [240, 240], [400, 240]]


def test_a_square_image_is_one_of_the_squares():
    geometry = ImageGeometry(original=(240, 240), input=(240, 240), padded=(256, 256))
    assert sizes(first_windows(drawn([(100.0, 100.0)]), geometry, POLICY))[-2:] == [[100, 100], [240, 240]]


@pytest.mark.parametrize(("filled", "size"), [(True, [300, 240]), (False, [400, 240])])
def test_a_mask_prompt_is_looked_at_where_it_is(filled, size):
    mask = torch.full((1, 256, 416), -9.0)
    if filled:
        mask[:, 20:60, 40:240] = 9
    assert sizes(first_windows(drawn(mask=mask), GEOMETRY, POLICY)) == [size]


def test_closer_windows_lie_around_the_masks():
    masks = torch.zeros(2, 10, 10, dtype=torch.bool)
    masks[0, 4:6, 2:4] = True
    windows = torch.tensor([[100.0, 0, 300, 200], [0, 0, 400, 240]])
    closer = closer_windows(masks, windows, GEOMETRY, POLICY)
    assert closer.tolist() == [[120, 60, 200, 140], [0, 0, 400, 240]]
