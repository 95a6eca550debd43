from pathlib import Path

import pytest
import torch
from stand_ins.hugging_face_names import hugging_face_layout
from stand_ins.lite import tiny_lite
from stand_ins.model import square_model

from persam_hq.checkpoint.layouts import Layout, encoder_of, image_size_of, in_published_layout, listed
from persam_hq.errors import CheckpointError

PATH = Path("file.pth")


def decoder_alone(tensors):
    prefix = "mask_decoder."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@pytest.mark.parametrize("hq", [True, False])
@pytest.mark.parametrize(
    ("rename", "layout"),
    [
        (dict, Layout.PUBLISHED),
        (hugging_face_layout, Layout.HUGGING_FACE),
        (decoder_alone, Layout.DECODER),
    ],
)
def test_layouts_are_told_by_their_keys(rename, layout, hq):
    tensors = square_model(hq=hq).state_dict()
    found, told = in_published_layout(rename(tensors), PATH)
    assert told is layout
    assert found.keys() == {key for key in tensors if layout is not Layout.DECODER or key.startswith("mask_decoder.")}
    assert all(torch.equal(value, tensors[key]) for key, value in found.items())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["layer1.0.conv1.weight", "fc.bias"],
            "file.pth is not in the layout .* it has layer1.0.conv1.weight, fc.bias",
        ),
        (["image_encoder.a", "optimizer.step"], "it has optimizer.step$"),
        (["vision_encoder.layers.0.a", "vision_encoder.what"], "it has vision_encoder.what"),
        (["transformer.a", "backbone.b"], "it has transformer.a, backbone.b"),
        (["image_encoder.trunk.a", "memory_attention.b"], "is of SAM 2, another model; load weights of SAM"),
        ([], "it has no tensors"),
    ],
)
def test_strangers_are_named(keys, message):
    with pytest.raises(CheckpointError, match=message):
        in_published_layout(dict.fromkeys(keys, torch.zeros(1)), PATH)


@pytest.mark.parametrize(
    ("key", "shape", "encoder", "image_size"),
    [
        ("image_encoder.patch_embed.seq.0.c.weight", (32, 3, 3, 3), "vit_tiny", None),
        ("image_encoder.pos_embed", (1, 64, 64, 768), "vit_b", 1024),
        ("image_encoder.pos_embed", (1, 64, 64, 1024), "vit_l", 1024),
        ("image_encoder.pos_embed", (1, 32, 32, 1280), "vit_h", 512),
        ("image_encoder.pos_embed", (1, 2, 2, 7), None, 32),
        ("image_encoder.pos_embed", (1, 5, 7), None, None),
        ("mask_decoder.compress_vit_feat.0.weight", (160, 256, 2, 2), "vit_tiny", None),
        ("mask_decoder.compress_vit_feat.0.weight", (1024, 256, 2, 2), "vit_l", None),
        ("mask_decoder.iou_token.weight", (1, 256), None, None),
    ],
)
def test_the_encoder_and_its_image_size_are_recognised(key, shape, encoder, image_size):
    tensors = {key: torch.zeros(shape)}
    assert encoder_of(tensors) == encoder
    assert image_size_of(tensors) == image_size


def test_lite_is_recognised():
    tensors, layout = in_published_layout(tiny_lite().state_dict(), PATH)
    assert encoder_of(tensors) == "lite"
    assert layout is Layout.PUBLISHED


def test_a_long_list_is_counted():
    assert listed("abc") == "a, b, c"
    assert listed("abcdefghij") == "a, b, c, d, e, f, g, h and 2 more"
