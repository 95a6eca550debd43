import numpy as np
import pytest
import torch
from torch import nn

from persam_hq.modeling.common import MLP, FusedLayerNorm2d, LayerNorm2d, MLPBlock, channels_last


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_layer_norm_2d_is_a_layer_norm_over_channels():
    norm, reference = LayerNorm2d(5), nn.LayerNorm(5, eps=1e-6)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(5.0) + 1)
        norm.bias.copy_(torch.arange(5.0) - 2)
    reference.load_state_dict(norm.state_dict())
    x = noise(2, 5, 3, 4)
    assert torch.allclose(norm(x), reference(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0], ids=["faint", "usual", "strong"])
def test_the_fused_layer_norm_is_the_same_function_of_the_same_weights(memory_format, scale):
    plain, fused = LayerNorm2d(5), FusedLayerNorm2d(5)
    with torch.no_grad():
        plain.weight.copy_(torch.arange(5.0) / 4 + 0.5)
        plain.bias.copy_(torch.arange(5.0) - 2)
    fused.load_state_dict(plain.state_dict(), strict=True)
    x = (scale * noise(2, 5, 3, 4)).contiguous(memory_format=memory_format).requires_grad_()
    got, want = fused(x), plain(x)
    assert got.shape == x.shape
    assert torch.allclose(got, want, atol=1e-5)
    weights = torch.arange(float(got.numel())).reshape(got.shape) / got.numel()
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (got, want)]
    assert torch.allclose(*gradients, atol=1e-5 / scale)


def test_the_fused_layer_norm_leaves_memory_channels_last():
    x = noise(2, 5, 3, 4).contiguous(memory_format=torch.channels_last)
    assert FusedLayerNorm2d(5)(x).is_contiguous(memory_format=torch.channels_last)


def test_an_mlp_has_relu_between_its_layers_but_not_behind_the_last():
    mlp = MLP(input_dim=3, hidden_dim=4, output_dim=2, num_layers=3)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(4, 3), (4, 4), (2, 4)]
    x = noise(7, 3)
    want = x.numpy()
    for index, layer in enumerate(mlp.layers):
        want = want @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        want = np.maximum(want, 0) if index < 2 else want
    assert np.allclose(mlp(x).detach().numpy(), want, atol=1e-6)


def test_an_mlp_block_is_linear_activation_linear():
    block = MLPBlock(embedding_dim=3, mlp_dim=5, act=nn.ReLU())
    x = noise(2, 4, 3)
    assert torch.equal(block(x), block.lin2(torch.relu(block.lin1(x))))


def test_channels_last_keeps_the_module_and_its_values():
    conv = nn.Conv2d(4, 4, 3)
    before = conv.weight.detach().clone()
    assert channels_last(conv) is conv
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(conv.weight, before)
