import itertools

import pytest
import torch

from persam_hq.errors import ShapeError
from persam_hq.modeling.tiny_vit import Attention, StageSpec, TinyViT, distance_indices

STAGES = (
    StageSpec(dim=8, depth=1, num_heads=None, window_size=None, downsample_stride=2),
    StageSpec(dim=12, depth=1, num_heads=2, window_size=3, downsample_stride=2),
    StageSpec(dim=16, depth=1, num_heads=2, window_size=3, downsample_stride=1),
    StageSpec(dim=20, depth=1, num_heads=2, window_size=3, downsample_stride=None),
)


def test_biases_are_numbered_as_distances_are_first_met():
    size = 3
    cells = list(itertools.product(range(size), repeat=2))
    numbers, expected = {}, []
    for (y, x), (v, u) in itertools.product(cells, repeat=2):
        distance = abs(y - v), abs(x - u)
        expected.append(numbers.setdefault(distance, len(numbers)))
    assert distance_indices(size).flatten().tolist() == expected


@torch.no_grad()
def test_attention_by_hand():
    attention = Attention(dim=4, num_heads=2, window_size=2)
    attention.attention_biases.copy_(torch.arange(8.0).reshape(2, 4))
    x = torch.randn(1, 2, 2, 4, generator=torch.Generator().manual_seed(0))
    q, k, v = attention.qkv(attention.norm(x)).reshape(4, 2, 3, 2).unbind(2)  # a head's three lie side by side
    heads = []
    for head in range(2):
        bias = attention.attention_biases[head][distance_indices(2)]
        heads.append(torch.softmax(q[:, head] @ k[:, head].T / 2**0.5 + bias, dim=-1) @ v[:, head])
    assert torch.allclose(attention(x), attention.proj(torch.cat(heads, dim=-1)).reshape(1, 2, 2, 4), atol=1e-5)


@torch.no_grad()
def test_shapes():
    model = TinyViT(img_size=64, stages=STAGES, out_chans=32, num_classes=5).eval()
    embedding, interm = model(torch.zeros(2, 3, 64, 64))
    assert embedding.shape == (2, 32, 4, 4)
    assert [tuple(each.shape) for each in interm] == [(2, 4, 4, 16)]
    with pytest.raises(ShapeError, match=r"takes \(B, 3, 64, 64\)"):
        model(torch.zeros(1, 3, 32, 64))


def test_published_keys():
    model = TinyViT(img_size=64, stages=STAGES, out_chans=32, num_classes=5)
    assert {
        "patch_embed.seq.0.c.weight",
        "layers.0.blocks.0.conv1.bn.running_mean",
        "layers.0.downsample.conv2.c.weight",
        "layers.1.blocks.0.attn.attention_biases",
        "layers.1.blocks.0.local_conv.c.weight",
        "layers.3.blocks.0.mlp.norm.weight",
        "norm_head.weight",
        "head.bias",
        "neck.3.bias",
    } <= model.state_dict().keys()
    assert not any("downsample" in key for key in model.state_dict() if key.startswith("layers.3"))
