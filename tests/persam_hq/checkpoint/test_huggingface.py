import pytest
import torch
from stand_ins.hugging_face_names import TWIN, hugging_face_layout, hugging_face_name
from stand_ins.model import square_model

from persam_hq.build.sam import sam_model_registry
from persam_hq.checkpoint.huggingface import from_hugging_face, is_hugging_face, published_name
from persam_hq.errors import CheckpointError

MATRIX = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("vision_encoder.pos_embed", "image_encoder.pos_embed"),
        ("vision_encoder.patch_embed.projection.weight", "image_encoder.patch_embed.proj.weight"),
        ("vision_encoder.layers.0.attn.qkv.weight", "image_encoder.blocks.0.attn.qkv.weight"),
        ("vision_encoder.layers.11.attn.rel_pos_h", "image_encoder.blocks.11.attn.rel_pos_h"),
        ("vision_encoder.layers.3.layer_norm2.bias", "image_encoder.blocks.3.norm2.bias"),
        ("vision_encoder.layers.3.mlp.lin1.weight", "image_encoder.blocks.3.mlp.lin1.weight"),
        ("vision_encoder.neck.conv2.weight", "image_encoder.neck.2.weight"),
        ("vision_encoder.neck.layer_norm2.weight", "image_encoder.neck.3.weight"),
        ("shared_image_embedding.positional_embedding", MATRIX),
        (TWIN, MATRIX),
        ("prompt_encoder.point_embed.2.weight", "prompt_encoder.point_embeddings.2.weight"),
        ("prompt_encoder.not_a_point_embed.weight", "prompt_encoder.not_a_point_embed.weight"),
        ("prompt_encoder.mask_embed.layer_norm2.weight", "prompt_encoder.mask_downscaling.4.weight"),
        ("prompt_encoder.mask_embed.conv3.bias", "prompt_encoder.mask_downscaling.6.bias"),
        ("mask_decoder.mask_tokens.weight", "mask_decoder.mask_tokens.weight"),
        (
            "mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj.bias",
            "mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj.bias",
        ),
        ("mask_decoder.transformer.layers.0.layer_norm4.bias", "mask_decoder.transformer.layers.0.norm4.bias"),
        ("mask_decoder.transformer.layer_norm_final_attn.bias", "mask_decoder.transformer.norm_final_attn.bias"),
        ("mask_decoder.upscale_conv2.weight", "mask_decoder.output_upscaling.3.weight"),
        ("mask_decoder.iou_prediction_head.proj_in.weight", "mask_decoder.iou_prediction_head.layers.0.weight"),
        ("mask_decoder.iou_prediction_head.layers.0.bias", "mask_decoder.iou_prediction_head.layers.1.bias"),
        (
            "mask_decoder.output_hypernetworks_mlps.3.proj_out.weight",
            "mask_decoder.output_hypernetworks_mlps.3.layers.2.weight",
        ),
        ("mask_decoder.hq_token.weight", "mask_decoder.hf_token.weight"),
        ("mask_decoder.hq_mask_mlp.layers.0.weight", "mask_decoder.hf_mlp.layers.1.weight"),
        ("mask_decoder.compress_vit_norm.weight", "mask_decoder.compress_vit_feat.1.weight"),
        ("mask_decoder.encoder_conv2.bias", "mask_decoder.embedding_encoder.3.bias"),
        ("mask_decoder.mask_conv1.weight", "mask_decoder.embedding_maskfeature.0.weight"),
        ("vision_encoder.unheard_of.weight", "vision_encoder.unheard_of.weight"),
    ],
)
def test_names(theirs, ours):
    assert published_name(theirs) == ours


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_every_tensor_of_the_published_models_has_a_name_there_and_back(name):
    with torch.device("meta"):
        keys = set(sam_model_registry[name](hq=True).state_dict())
    theirs = {hugging_face_name(key) for key in keys}
    assert len(theirs) == len(keys)
    assert {published_name(key) for key in theirs} == keys
    assert is_hugging_face(dict.fromkeys(theirs))
    assert not is_hugging_face(dict.fromkeys(keys))


@pytest.mark.parametrize("twice", [True, False])
def test_the_matrix_of_the_positional_encoding_may_be_there_twice(tmp_path, twice):
    tensors = square_model(hq=True).state_dict()
    found = from_hugging_face(hugging_face_layout(tensors, twice=twice), tmp_path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], value) for key, value in tensors.items())


def test_two_matrices_that_differ_are_refused(tmp_path):
    tensors = hugging_face_layout(square_model(hq=False).state_dict())
    tensors[TWIN] += 1
    with pytest.raises(
        CheckpointError, match=rf"model.bin holds {MATRIX} twice, and they differ; save the model again"
    ):
        from_hugging_face(tensors, tmp_path / "model.bin")
