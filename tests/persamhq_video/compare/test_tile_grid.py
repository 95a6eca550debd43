"""The grid of tiles, crops and titles."""

import numpy as np
import pytest

from persamhq_video.compare.tile_grid import Grid, painted_tiles, part_around, shrunk


@pytest.mark.parametrize(
    ("count", "size", "columns", "rows"),
    [
        (3, (480, 854), 2, 2),
        (4, (480, 854), 2, 2),
        (5, (480, 854), 3, 2),
        (7, (1080, 1920), 3, 3),
        (4, (1920, 1080), 4, 1),
        (4, (300, 2400), 1, 4),
    ],
)
def test_the_arrangement(count, size, columns, rows):
    grid = Grid.around(count, size=size)
    assert (grid.columns, grid.rows) == (columns, rows)


@pytest.mark.parametrize("size", [(480, 854), (1080, 1920), (36, 64), (481, 853), (20, 3000), (3000, 20)])
@pytest.mark.parametrize("count", [3, 4, 6, 9])
def test_sizes(count, size):
    grid = Grid.around(count, size=size)
    assert grid.columns * grid.rows >= count
    assert all(length % 2 == 0 and length > 0 for length in (*grid.tile, *grid.size))
    if min(size) > 100:
        assert grid.tile[1] / grid.tile[0] == pytest.approx(size[1] / size[0], rel=0.03)


def test_small_frames_grow_until_a_title_can_be_read():
    assert Grid.around(3, size=(36, 64)).tile[1] == 240


def test_each_tile_lies_below_its_title():
    grid = Grid(columns=2, rows=2, tile=(20, 120))
    tiles = [np.full((20, 120, 3), 10 * number, np.uint8) for number in (1, 2, 3)]
    titled = grid.titled(["source", "a", "b"], [None, "#ff0000", "#0000ff"])
    picture = grid.filled(titled, tiles)
    assert picture.shape == (*grid.size, 3)
    assert (picture[30:50, :120] == 10).all()
    assert (picture[30:50, 120:] == 20).all()
    assert (picture[80:100, :120] == 30).all()
    assert tuple(picture[5, 121]) == (255, 0, 0)
    assert (picture[:30, :120] < 100).any(), "a title is written"
    assert (picture[80:100, 120:] == titled[80:100, 120:]).all(), "a place that is empty stays so"


def test_a_long_title_stays_in_its_tile():
    grid = Grid(columns=2, rows=1, tile=(20, 120))
    picture = grid.titled(["w" * 40, ""], [None, None])
    assert (picture[:30, 120:] == picture[0, -1]).all()


def test_painted_tiles():
    image = np.full((40, 80, 3), 100, np.uint8)
    labels = np.zeros((40, 80), np.uint8)
    labels[10:30, 20:60] = 1
    source, painted = painted_tiles(image, [labels], size=(20, 40))
    assert source.shape == painted.shape == (20, 40, 3)
    assert (source == 100).all()
    assert (painted[10, 20] != 100).any()
    assert (painted[0, 0] == 100).all()


@pytest.mark.parametrize("size", [(20, 40), (40, 80), (80, 160)])
def test_shrunk(size):
    assert shrunk(np.zeros((40, 80, 3), np.uint8), size).shape == (*size, 3)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [((0, 0), (0, 0)), ((0, 5), (0, 5)), ((40, 60), (80, 130)), ((95, 100), (190, 200)), ((0, 100), (0, 10))],
)
def test_the_part_shows_the_mask_in_the_pictures_proportions(rows, columns):
    mask = np.zeros((100, 200), bool)
    mask[slice(*rows), slice(*columns)] = True
    part = mask[part_around(mask)]
    assert part.sum() == mask.sum()
    assert abs(part.shape[1] - 2 * part.shape[0]) <= 1
    assert 20 <= part.shape[0] <= 100
