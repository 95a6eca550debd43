import pytest
import torch

from persam_hq.errors import ShapeError
from persam_hq.modeling.image_encoder import Attention, decomposed_rel_pos, window_partition, window_unpartition

GENERATOR = torch.Generator().manual_seed(4)


def random(*shape):
    return torch.randn(*shape, generator=GENERATOR)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 5), (1, 8), (3, 4)])
def test_windows_there_and_back(height, width):
    x = random(2, height, width, 5)
    windows = window_partition(x, 3)
    assert windows.shape == (2 * -(-height // 3) * -(-width // 3), 3, 3, 5)
    assert torch.equal(window_unpartition(windows, window_size=3, size=(height, width)), x)


def test_windows_are_padded_below_and_to_the_right():
    windows = window_partition(torch.ones(1, 2, 4, 1), 3)
    assert windows[0, :, :, 0].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert windows[1, :, :, 0].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_relative_positions_by_hand():
    h, w, d = 2, 3, 4
    q, rel_pos_h, rel_pos_w = random(1, 1, h * w, d), random(2 * h - 1, d), random(2 * w - 1, d)
    bias = decomposed_rel_pos(q, rel_pos_h=rel_pos_h, rel_pos_w=rel_pos_w, size=(h, w))
    for i in range(h * w):
        for j in range(h * w):
            row, column = i // w - j // w + h - 1, i % w - j % w + w - 1
            expected = q[0, 0, i] @ (rel_pos_h[row] + rel_pos_w[column])
            assert bias[0, 0, i, j].item() == pytest.approx(expected.item(), abs=1e-5)


@torch.no_grad()
def test_attention_by_hand():
    attention = Attention(dim=6, num_heads=2, input_size=3)
    attention.rel_pos_h.normal_(generator=GENERATOR)
    attention.rel_pos_w.normal_(generator=GENERATOR)
    x = random(1, 3, 3, 6)
    q, k, v = attention.qkv(x).reshape(9, 3, 2, 3).unbind(1)
    heads = []
    for head in range(2):
        bias = decomposed_rel_pos(
            q[None, None, :, head], rel_pos_h=attention.rel_pos_h, rel_pos_w=attention.rel_pos_w, size=(3, 3)
        )[0, 0]
        weights = torch.softmax(q[:, head] @ k[:, head].T / 3**0.5 + bias, dim=-1)
        heads.append(weights @ v[:, head])
    assert torch.allclose(attention(x), attention.proj(torch.cat(heads, dim=-1)).reshape(1, 3, 3, 6), atol=1e-5)


@torch.no_grad()
def test_interm_embeddings_come_from_global_blocks(square):
    embedding, interm = square.image_encoder(random(2, 3, 64, 64))
    assert embedding.shape == (2, 32, 4, 4)
    assert [tuple(each.shape) for each in interm] == [(2, 4, 4, 32)]


@pytest.mark.parametrize("shape", [(1, 3, 64, 48), (1, 1, 64, 64), (3, 64, 64)])
def test_another_size_is_refused(square, shape):
    with pytest.raises(ShapeError, match=r"takes \(B, 3, 64, 64\)"):
        square.image_encoder(torch.zeros(shape))
