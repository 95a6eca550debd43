import numpy as np
import pytest
import torch

from persam_hq.errors import EmptyMaskError, ShapeError
from persam_hq.personalization import foreground_cells, target_from_features
from persam_hq.transforms import mask_image
from persam_hq.types import ImageGeometry


def cells_of(model, mask, grid):
    prepared, geometry = model.prepare(mask_image(mask))
    return foreground_cells(torch.from_numpy(mask), prepared=prepared, geometry=geometry, grid=grid)


def features(seed=0):
    return torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(0, 32), slice(0, 32), [(0, 0), (0, 1), (1, 0), (1, 1)]),
        (slice(16, 32), slice(32, 64), [(1, 2), (1, 3)]),
        (slice(48, 64), slice(48, 64), [(3, 3)]),
    ],
)
def test_cells_that_the_mask_covers(square, rows, columns, expected):
    mask = np.zeros((64, 64), dtype=bool)
    mask[rows, columns] = True
    assert torch.nonzero(cells_of(square, mask, (4, 4))).tolist() == [list(cell) for cell in expected]


@pytest.mark.parametrize("pixel", [(0, 0), (0, 63), (31, 0), (17, 40), (31, 63)])
def test_a_mask_of_one_pixel_gets_the_cell_that_it_lies_in(square, pixel):
    mask = np.zeros((32, 64), dtype=bool)
    mask[pixel] = True
    assert torch.nonzero(cells_of(square, mask, (4, 4))).tolist() == [[pixel[0] // 16, pixel[1] // 16]]


def test_the_centroid_is_in_the_frame_of_the_input(square):
    mask = np.zeros((640, 1280), dtype=bool)
    mask[335:340, 700:705] = True  # (16, 35) in the input of 32 by 64, where little is left of it
    assert torch.nonzero(cells_of(square, mask, (4, 4))).tolist() == [[1, 2]]


def test_two_far_points_get_the_cell_between_them(square):
    mask = np.zeros((64, 64), dtype=bool)
    mask[20, 2] = mask[20, 60] = True
    assert torch.nonzero(cells_of(square, mask, (4, 4))).tolist() == [[1, 1]]


def test_the_target_of_a_tiny_mask_is_finite(square):
    mask = np.zeros((64, 64), dtype=bool)
    mask[5, 5] = True
    target = target_from_features(features(), cells_of(square, mask, (4, 4)))
    assert target.cells == 1
    assert torch.isfinite(target.feature).all()
    assert torch.equal(target.embedding[0, 0], features()[0, :, 0, 0])


def test_an_empty_mask_is_an_error(square):
    with pytest.raises(EmptyMaskError, match="reference mask is empty"):
        cells_of(square, np.zeros((64, 64), dtype=bool), (4, 4))


def test_a_mask_of_another_size_is_an_error():
    geometry = ImageGeometry(original=(64, 64), input=(64, 64), padded=(64, 64))
    with pytest.raises(ShapeError, match="both must be of one size"):
        foreground_cells(torch.ones(9, 9), prepared=torch.zeros(1, 3, 64, 64), geometry=geometry, grid=(4, 4))


def test_the_mean_of_the_cells_is_the_embedding():
    cells = torch.zeros(4, 4, dtype=torch.bool)
    cells[1, 2] = cells[3, 0] = True
    target = target_from_features(features(), cells)
    mean = (features()[0, :, 1, 2] + features()[0, :, 3, 0]) / 2
    assert torch.allclose(target.embedding, mean[None, None])
    assert torch.allclose(target.feature, mean / mean.square().sum().sqrt())
    assert target.cells == 2


def test_the_feature_of_persam_f_is_half_mean_half_maximum():
    cells = torch.zeros(4, 4, dtype=torch.bool)
    cells[0, :3] = True
    inside = features()[0, :, 0, :3]
    expected = [0.5 * max(row) + 0.5 * sum(row) / 3 for row in inside.tolist()]
    length = sum(value**2 for value in expected) ** 0.5
    target = target_from_features(features(), cells, pooling="mean_and_max")
    assert target.feature.tolist() == pytest.approx([value / length for value in expected], abs=1e-6)
    assert torch.allclose(target.embedding[0, 0], inside.mean(dim=1))


def test_no_cell_is_an_error():
    with pytest.raises(EmptyMaskError, match="no cell is marked"):
        target_from_features(features(), torch.zeros(4, 4, dtype=torch.bool))


def test_cells_of_another_grid_are_an_error():
    with pytest.raises(ShapeError, match=r"grid is \(4, 4\)"):
        target_from_features(features(), torch.ones(3, 4, dtype=torch.bool))
