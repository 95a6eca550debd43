import pytest
import torch

from persam_hq.personalization import cosine_grid, grid_to_image, locate
from persam_hq.types import ImageFeatures, ImageGeometry, Target

GENERATOR = torch.Generator().manual_seed(1)
EMBEDDING = torch.randn(1, 8, 3, 5, generator=GENERATOR)


def target(feature):
    return Target(feature=feature / feature.norm(), embedding=feature[None, None], cells=1)


def test_cosine_by_hand():
    wanted = target(torch.randn(8, generator=GENERATOR)).feature
    grid = cosine_grid(EMBEDDING, wanted)
    for y in range(3):
        for x in range(5):
            cell = EMBEDDING[0, :, y, x]
            assert grid[y, x].item() == pytest.approx((cell @ wanted / cell.norm()).item(), abs=1e-6)


def test_a_cell_is_most_like_itself():
    grid = cosine_grid(EMBEDDING, target(EMBEDDING[0, :, 2, 3]).feature)
    assert grid.argmax() == 2 * 5 + 3
    assert grid.max().item() == pytest.approx(1)


def test_the_padding_is_cut_off():
    embedding = torch.zeros(1, 2, 4, 4)
    embedding[:, 0, :2], embedding[:, 1, 2:] = 1, 1  # the image is the upper half
    geometry = ImageGeometry(original=(20, 40), input=(32, 64), padded=(64, 64))
    prior = locate(ImageFeatures(embedding, (), geometry), target(torch.tensor([1.0, 0.0])))
    assert prior.similarity.shape == (20, 40)
    assert prior.grid[:, 0].tolist() == [1, 1, 0, 0]
    assert torch.allclose(prior.similarity[:12], torch.ones(12, 40))  # the rows that the border does not touch
    assert (prior.similarity > 0.4).all()  # nothing but the image, in which the target is


@pytest.mark.parametrize("original", [(8, 16), (16, 32), (7, 15)])
def test_a_map_of_cells_becomes_one_of_the_image_without_its_padding(original):
    grid = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [9.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 9.0]])
    geometry = ImageGeometry(original=original, input=(8, 16), padded=(16, 16))
    image = grid_to_image(grid, geometry)
    assert tuple(image.shape) == original
    assert image[0].diff().ge(0).all()
    assert float(image[0, 0]) == pytest.approx(1)
    assert float(image[0, -1]) == pytest.approx(4)
    assert image[: original[0] // 2].max() <= 4
