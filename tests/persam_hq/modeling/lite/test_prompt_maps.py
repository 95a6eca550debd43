import pytest
import torch

from persam_hq.modeling.lite.prompt_maps import box_shapes, point_shapes
from persam_hq.modeling.lite.window import cell_positions

WINDOW = torch.tensor([[100.0, 50, 180, 90]])  # 8 cells of 10 by 5 pixels


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        pytest.param((110, 60, 130, 70), [0, 1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0], id="whole cells"),
        pytest.param((115, 61, 132, 65), [0, 0.5, 1, 0.2, 0, 0, 0, 0], [0, 0, 0.8, 0, 0, 0, 0, 0], id="parts of cells"),
        pytest.param((113, 51, 117, 54), [0, 0.4, 0, 0, 0, 0, 0, 0], [0.6, 0, 0, 0, 0, 0, 0, 0], id="inside of a cell"),
        pytest.param((0, 0, 125, 55), [1, 1, 0.5, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0], id="over a corner"),
        pytest.param((0, 0, 900, 900), [1] * 8, [1] * 8, id="around the window"),
        pytest.param((200, 60, 220, 70), [0] * 8, [0, 0, 1, 1, 0, 0, 0, 0], id="beside the window"),
        pytest.param((120, 60, 120, 70), [0] * 8, [0, 0, 1, 1, 0, 0, 0, 0], id="without width"),
    ],
)
def test_a_box_covers_a_share_of_each_cell(box, columns, rows):
    shape = box_shapes(torch.tensor([box]).float(), WINDOW, grid=8)
    assert shape.shape == (1, 1, 8, 8)
    want = torch.tensor(rows)[:, None] * torch.tensor(columns)[None].float()
    assert torch.allclose(shape[0, 0], want, atol=1e-5)


def test_a_box_covers_its_area():
    boxes = torch.tensor([[110.5, 53.25, 151.75, 71], [3, 4, 9, 30]])
    windows = torch.tensor([[100.0, 50, 180, 90], [0, 0, 32, 32]])
    cells = (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1]) / 11**2
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert torch.allclose(box_shapes(boxes, windows, grid=11).sum(dim=(1, 2, 3)) * cells, area, rtol=1e-4)


def disks(points, labels, *, windows=WINDOW, grid=16, radius=0.2):
    points, labels = torch.tensor(points, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32)
    return point_shapes(points, labels, windows, grid=grid, radius=radius)


def test_a_point_is_a_disk_of_window_sides():
    # The radius is that part of the longer side, here 16 pixels; the border is as wide as a cell of that side
    shape = disks([[[130, 70]]], [[1]])
    assert shape.shape == (1, 1, 16, 16)
    positions = cell_positions(WINDOW, grid=16)[0]
    distance = (positions - torch.tensor([130.0, 70])).norm(dim=1)
    want = ((16 - distance) / 5 + 0.5).clamp(0, 1)
    assert torch.allclose(shape.flatten(), want, atol=1e-5)
    assert 0 < ((shape > 0) & (shape < 1)).float().mean() < 0.3


def test_a_disk_has_its_area():
    square = torch.tensor([[0.0, 0, 64, 64]])
    shape = disks([[[30, 33]]], [[1]], windows=square, grid=64, radius=0.25)
    assert float(shape.sum()) == pytest.approx(torch.pi * 16**2, rel=0.01)


def test_disks_unite_and_negative_ones_are_cut_out():
    places = [[[115.0, 70], [165, 70], [118, 74]]]
    both = disks([places[0][:2]], [[1, 1]])
    parts = [disks([[place]], [[1]]) for place in places[0]]
    assert torch.equal(both, torch.maximum(parts[0], parts[1]))
    cut = disks(places, [[1, 1, 0]])
    assert torch.allclose(cut, both * (1 - parts[2]), atol=1e-6)
    assert 0 < cut.sum() < both.sum()


@pytest.mark.parametrize("labels", [[[0, 0]], [[-1, -1]], [[0, -1]]], ids=["negative", "padding", "mixed"])
def test_without_a_positive_point_there_is_no_shape(labels):
    assert disks([[[120, 60], [150, 70]]], labels).abs().max() == 0


def test_points_that_are_padding_do_not_count():
    assert torch.equal(disks([[[120, 60], [150, 70]]], [[1, -1]]), disks([[[120, 60]]], [[1]]))


def test_a_point_far_outside_draws_nothing():
    assert disks([[[500, 70]]], [[1]]).abs().max() == 0


def test_each_object_has_a_window_of_its_own():
    windows = torch.cat([WINDOW, torch.tensor([[0.0, 0, 64, 64]])])
    boxes = torch.tensor([[110.0, 60, 130, 70], [10, 10, 30, 50]])
    points, labels = torch.tensor([[[120.0, 60]], [[20, 30]]]), torch.ones(2, 1)
    drawn = box_shapes(boxes, windows, grid=8), point_shapes(points, labels, windows, grid=8, radius=0.1)
    for row in range(2):
        one = slice(row, row + 1)
        assert torch.equal(drawn[0][one], box_shapes(boxes[one], windows[one], grid=8))
        alone = point_shapes(points[one], labels[one], windows[one], grid=8, radius=0.1)
        assert torch.allclose(drawn[1][one], alone, atol=1e-6)
