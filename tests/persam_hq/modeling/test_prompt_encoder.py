import math

import pytest
import torch
from golden.fill_weights import fill_state_dict

from persam_hq.modeling.prompt_encoder import PositionEmbeddingRandom, PromptBatch, PromptEncoder

C, GRID, FRAME = 16, (3, 4), (48, 64)


@pytest.fixture
def encoder():
    model = PromptEncoder(embed_dim=C, image_embedding_size=GRID, input_image_size=FRAME, mask_in_chans=8)
    fill_state_dict(model)
    return model.eval().requires_grad_(requires_grad=False)


def position(encoder, x, y):
    """The Fourier features of pixel (x, y), by the formula."""
    gaussian = encoder.pe_layer.positional_encoding_gaussian_matrix
    u, v = (2 * (x + 0.5) / FRAME[1] - 1), (2 * (y + 0.5) / FRAME[0] - 1)
    angles = [2 * math.pi * (u * float(a) + v * float(b)) for a, b in gaussian.T]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def kind(encoder, index):
    return encoder.point_embeddings[index].weight[0]


POINTS = torch.tensor([[[3.0, 5], [60, 40]], [[0, 0], [31, 7]]])
LABELS = torch.tensor([[1.0, 0], [0, 1]])
BOXES = torch.tensor([[2.0, 3, 20, 30], [10, 0, 63, 47]])


def test_points_are_positions_plus_their_kind_and_a_padding_point(encoder):
    sparse, _ = encoder(points=(POINTS, LABELS), boxes=None, masks=None)
    assert sparse.shape == (2, 3, C)
    for row in range(2):
        for index in range(2):
            want = position(encoder, *POINTS[row, index].tolist()) + kind(encoder, int(LABELS[row, index]))
            assert torch.allclose(sparse[row, index], want, atol=1e-4)
        assert torch.equal(sparse[row, 2], encoder.not_a_point_embed.weight[0])


def test_a_point_labelled_as_none_has_no_position(encoder):
    sparse, _ = encoder(points=(POINTS[:1], torch.tensor([[-1.0, 1]])), boxes=None, masks=None)
    assert torch.equal(sparse[0, 0], encoder.not_a_point_embed.weight[0])


def test_with_a_box_there_is_no_padding_point(encoder):
    sparse, _ = encoder(points=(POINTS, LABELS), boxes=BOXES, masks=None)
    assert sparse.shape == (2, 4, C)
    for row in range(2):
        x0, y0, x1, y1 = BOXES[row].tolist()
        assert torch.allclose(sparse[row, 2], position(encoder, x0, y0) + kind(encoder, 2), atol=1e-4)
        assert torch.allclose(sparse[row, 3], position(encoder, x1, y1) + kind(encoder, 3), atol=1e-4)


def test_a_box_alone_is_two_corners(encoder):
    alone, _ = encoder(points=None, boxes=BOXES, masks=None)
    together, _ = encoder(points=(POINTS, LABELS), boxes=BOXES, masks=None)
    assert torch.equal(alone, together[:, 2:])


def test_without_a_mask_every_cell_has_the_same_embedding(encoder):
    _, dense = encoder(points=None, boxes=BOXES, masks=None)
    assert dense.shape == (2, C, *GRID)
    assert torch.equal(dense, encoder.no_mask_embed.weight.reshape(1, C, 1, 1).expand(2, C, *GRID))


def test_a_mask_is_brought_to_the_grid(encoder):
    masks = torch.randn(2, 1, *encoder.mask_input_size, generator=torch.Generator().manual_seed(0))
    sparse, dense = encoder(points=None, boxes=None, masks=masks)
    assert encoder.mask_input_size == (12, 16)
    assert sparse.shape == (2, 0, C)
    assert torch.equal(dense, encoder.mask_downscaling(masks))
    assert dense.shape == (2, C, *GRID)


def test_no_prompt_at_all_is_a_batch_of_one(encoder):
    sparse, dense = encoder(points=None, boxes=None, masks=None)
    assert sparse.shape == (1, 0, C)
    assert dense.shape == (1, C, *GRID)


def test_the_grids_encoding_is_that_of_its_cell_centres(encoder):
    dense = encoder.get_dense_pe()
    assert dense.shape == (1, C, *GRID)
    # The centre of cell (row 1, column 2) lies between pixels: half a pixel is taken off again
    assert torch.allclose(dense[0, :, 1, 2], position(encoder, 2.5 * 16 - 0.5, 1.5 * 16 - 0.5), atol=1e-4)


def test_positions_take_any_leading_shape():
    layer = PositionEmbeddingRandom(4)
    assert layer.encode(torch.rand(2, 3, 5, 2)).shape == (2, 3, 5, 8)


def test_a_prompt_batch_shows_shapes_and_moves_as_a_whole():
    batch = PromptBatch(points=(POINTS, LABELS), boxes=BOXES)
    assert repr(batch) == "PromptBatch(points=(2, 2, 2), boxes=(2, 4))"
    moved = batch.to(torch.device("meta"))
    assert {t.device.type for t in (*moved.points, moved.boxes)} == {"meta"}
    assert moved.masks is None
    assert PromptBatch().to(torch.device("meta")).points is None
