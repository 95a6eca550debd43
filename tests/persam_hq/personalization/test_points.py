import torch

from persam_hq.personalization import bottom_points, top_points


def similarity():
    values = torch.zeros(5, 9)
    values[1, 7], values[4, 2], values[3, 0] = 3, 2, -1
    values[0, 8] = -2
    return values


def test_points_are_x_and_y_in_order_of_similarity():
    assert top_points(similarity(), 2).tolist() == [[7, 1], [2, 4]]
    assert bottom_points(similarity(), 2).tolist() == [[8, 0], [0, 3]]


def test_one_point_by_default():
    assert top_points(similarity()).tolist() == [[7, 1]]
    assert bottom_points(similarity()).shape == (1, 2)
    assert top_points(similarity()).dtype == torch.float32
