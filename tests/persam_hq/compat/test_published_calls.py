"""Parts of a model called by themselves, as scripts written for the published packages call them."""

import importlib
from functools import partial

import pytest
import torch
from golden.fill_weights import fill_state_dict
from stand_ins.builder import save, small_builder
from stand_ins.model import WIDTH, rectangular_model, square_model
from torch import nn

from persam_hq.build import sam as build
from persam_hq.compat import modeling, per_segment_anything, segment_anything
from persam_hq.compat.modeling import as_published
from persam_hq.errors import InputError
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.types import DecoderOutput

PIXELS = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
BOX = torch.tensor([[4.0, 6, 40, 50]])
POINTS = (torch.tensor([[[20.0, 30], [5, 5]]]), torch.tensor([[1, 0]]))


def filled(*, hq):
    model = square_model(hq=hq)
    fill_state_dict(model)
    return model.eval()


@pytest.fixture(scope="module")
def own():
    return filled(hq=True)


@pytest.fixture(scope="module")
def model():
    return as_published(filled(hq=True), returns_interm=True)


@pytest.fixture(scope="module")
def plain():
    return as_published(filled(hq=False), returns_interm=False)


@pytest.mark.parametrize("package", ["segment_anything", "per_segment_anything"])
@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("predictor", "SamPredictor"),
        ("automatic_mask_generator", "SamAutomaticMaskGenerator"),
        ("build_sam", "build_sam build_sam_vit_h build_sam_vit_l build_sam_vit_b sam_model_registry"),
        ("modeling", "Sam ImageEncoderViT MaskDecoder PromptEncoder TwoWayTransformer"),
        ("modeling.sam", "Sam"),
        ("modeling.image_encoder", "ImageEncoderViT"),
        ("modeling.mask_decoder", "MaskDecoder"),
        ("modeling.prompt_encoder", "PromptEncoder"),
        ("modeling.transformer", "TwoWayTransformer"),
        ("utils.transforms", "ResizeLongestSide"),
        ("utils.onnx", "SamOnnxModel"),
        (
            "utils.amg",
            "MaskData batched_mask_to_box mask_to_rle_pytorch remove_small_regions calculate_stability_score",
        ),
    ],
)
def test_submodules_have_their_published_names(package, module, names):
    found = importlib.import_module(f"persam_hq.compat.{package}.{module}")
    assert set(names.split()) <= set(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)


def test_what_sam_hq_has_beside_it():
    from persam_hq.compat.segment_anything import build_sam_baseline, build_sam_hq, sam_model_registry_baseline
    from persam_hq.compat.segment_anything.build_sam_hq import sam_hq_model_registry
    from persam_hq.compat.segment_anything.modeling import MaskDecoderHQ, TinyViT

    assert {"default", "vit_h", "vit_l", "vit_b"} <= sam_model_registry_baseline.keys() & sam_hq_model_registry.keys()
    assert build_sam_hq is sam_hq_model_registry["vit_h"]
    assert build_sam_baseline.build_sam == sam_model_registry_baseline["default"]
    assert issubclass(MaskDecoderHQ, modeling.MaskDecoder)
    assert issubclass(TinyViT, nn.Module)


@pytest.fixture
def small(monkeypatch):
    """All registered models are small ones."""
    monkeypatch.setattr(build, "sam_model_registry", {name: small_builder(name) for name in build.sam_model_registry})


@pytest.mark.parametrize(
    ("registry", "stored", "has_hq", "gives_interm"),
    [
        (segment_anything.sam_model_registry, True, True, True),
        (segment_anything.sam_model_registry, False, False, False),
        (segment_anything.sam_model_registry_baseline, False, False, True),
        (segment_anything.sam_model_registry_baseline, True, False, True),
        (segment_anything.sam_hq_model_registry, True, True, True),
        (per_segment_anything.sam_model_registry, False, False, False),
        (per_segment_anything.sam_model_registry, True, True, False),
    ],
)
@pytest.mark.usefixtures("small")
def test_each_registry_builds_what_its_package_builds(tmp_path, registry, stored, has_hq, gives_interm):
    source = filled(hq=stored)
    path = save(source.state_dict(), tmp_path / "w.pth")
    model = registry["vit_b"](checkpoint=str(path))
    assert isinstance(model, segment_anything.Sam)
    assert model.has_hq is has_hq
    encoded = model.image_encoder(PIXELS)
    embedding, interm = source.image_encoder(PIXELS)
    if gives_interm:
        assert isinstance(encoded[1], list)
        assert torch.equal(encoded[1][0], interm[0])
    assert torch.equal(encoded[0] if gives_interm else encoded, embedding)
    assert model.state_dict().keys() <= source.state_dict().keys()


@pytest.mark.usefixtures("small")
def test_errors_of_files_are_those_of_the_originals(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        segment_anything.sam_model_registry["vit_b"](checkpoint=str(tmp_path / "none.pth"))
    with pytest.raises(KeyError, match="vit_x"):
        segment_anything.sam_model_registry["vit_x"]
    path = save(square_model(hq=False).state_dict() | {"mask_decoder.x": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(RuntimeError, match=r"not part of the model: mask_decoder\.x"):
        segment_anything.sam_model_registry["vit_b"](checkpoint=path)


def test_the_model_itself_computes_the_same(own, model):
    pixels, geometry = own.prepare((torch.rand(24, 40, 3) * 255).byte().numpy())
    want, got = own.encode(pixels, geometry), model.encode(pixels, geometry)
    assert torch.equal(want.image_embedding, got.image_embedding)
    assert torch.equal(want.hq_features, got.hq_features)
    outputs = [each.decode(features, points=POINTS, boxes=BOX) for each, features in ((own, want), (model, got))]
    assert torch.equal(outputs[0].hq_masks, outputs[1].hq_masks)
    record = {"image": pixels[0], "original_size": (24, 40), "boxes": BOX}
    (first,), (second,) = own([record], True), model([record], True)
    assert torch.equal(first["low_res_logits"], second["low_res_logits"])


def test_an_encoder_of_ones_own_stays_as_it_is():
    model = as_published(rectangular_model(), returns_interm=False)
    embedding, _ = model.image_encoder(torch.zeros(1, 3, 48, 96))
    assert embedding.shape == (1, WIDTH, 3, 6)
    assert model.encode_pixels(torch.zeros(1, 3, 48, 96))[0].shape == embedding.shape


@pytest.mark.parametrize("shape", [(1, 4), (1, 1, 4), (3, 4), (3, 1, 4)])
def test_boxes_of_both_shapes(own, model, shape):
    boxes = (BOX + torch.arange(shape[0])[:, None]).reshape(shape)
    sparse, dense = model.prompt_encoder(points=None, boxes=boxes, masks=None)
    want = own.prompt_encoder(points=None, boxes=boxes.reshape(-1, 4), masks=None)
    assert torch.equal(sparse, want[0])
    assert torch.equal(dense, want[1])
    assert sparse.shape == (shape[0], 2, WIDTH)
    assert all(torch.equal(*pair) for pair in zip(model.prompt_encoder(None, boxes, None), want, strict=True))


def everything(model):
    embedding, interm = model.image_encoder(PIXELS, with_interm=True)
    sparse, dense = model.prompt_encoder(points=POINTS, boxes=BOX[:, None], masks=None)
    return {
        "image_embeddings": embedding,
        "image_pe": model.prompt_encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
    }, interm


@pytest.mark.parametrize("multi", [True, False])
@pytest.mark.parametrize("only", [True, False])
def test_the_decoder_gives_what_it_selects(model, multi, only):
    inputs, interm = everything(model)
    masks, iou = model.mask_decoder(
        **inputs, multimask_output=multi, hq_token_only=only, interm_embeddings=torch.stack(interm)
    )
    output = model.mask_decoder(**inputs, interm_embeddings=interm)
    assert isinstance(output, DecoderOutput)
    want = select_masks(output, multimask_output=multi, hq_token_only=only)
    # Stacked, cells lie otherwise in memory, which rounds otherwise
    assert torch.allclose(masks, want[0], atol=1e-5)
    assert torch.allclose(iou, want[1], atol=1e-5)
    assert masks.shape == (1, 1, 16, 16)
    by_position = model.mask_decoder(*inputs.values(), multi, only, interm)
    assert torch.equal(by_position[0], want[0])


@pytest.mark.parametrize(("multi", "count"), [(True, 3), (False, 1)])
def test_the_plain_decoder_gives_three_or_one(plain, multi, count):
    inputs, interm = everything(plain)
    masks, iou = plain.mask_decoder(**inputs, multimask_output=multi)
    assert (masks.shape, iou.shape) == ((1, count, 16, 16), (1, count))
    # SAM-HQ's code passes these to SAM's decoder as well, which has no use for them
    again, _ = plain.mask_decoder(**inputs, multimask_output=multi, hq_token_only=False, interm_embeddings=interm)
    assert torch.equal(masks, again)
    with pytest.raises(InputError, match="hq_token_only asks for the HQ mask"):
        plain.mask_decoder(**inputs, multimask_output=multi, hq_token_only=True)


def test_persams_guidance_reaches_the_decoder(plain):
    inputs, _ = everything(plain)
    guided = {"attn_sim": torch.rand(1, 1, 1, 16), "target_embedding": torch.rand(1, 1, WIDTH)}
    masks, _ = plain.mask_decoder(**inputs, multimask_output=False, **guided)
    assert not torch.allclose(masks, plain.mask_decoder(**inputs, multimask_output=False)[0])


def test_all_masks_at_once(model, plain):
    inputs, interm = everything(model)
    features = model.mask_decoder.fuse_hq_features(
        image_embeddings=inputs["image_embeddings"], interm_embeddings=interm
    )
    masks, iou = model.mask_decoder.predict_masks(**inputs, hq_features=features)
    assert (masks.shape, iou.shape) == ((1, 5, 16, 16), (1, 4))
    assert plain.mask_decoder.predict_masks(**everything(plain)[0])[0].shape == (1, 4, 16, 16)


def test_gradients_flow_as_in_training_scripts(plain):
    inputs, _ = everything(plain)
    masks, _ = plain.mask_decoder(**inputs, multimask_output=False)
    masks.mean().backward()
    assert plain.mask_decoder.mask_tokens.weight.grad is not None
    plain.zero_grad(set_to_none=True)


def built(*, hq):
    """A small model, put together by the published constructors."""
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=2, mlp_dim=64)
    common = {"num_multimask_outputs": 3, "transformer": transformer, "transformer_dim": WIDTH}
    return modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            depth=2,
            embed_dim=WIDTH,
            img_size=64,
            mlp_ratio=4,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=2,
            patch_size=16,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=[1],
            window_size=3,
            out_chans=WIDTH,
        ),
        prompt_encoder=modeling.PromptEncoder(WIDTH, (4, 4), (64, 64), 8),
        mask_decoder=modeling.MaskDecoderHQ(**common, vit_dim=WIDTH) if hq else modeling.MaskDecoder(**common),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )


@pytest.mark.parametrize("hq", [True, False])
def test_published_constructors_build_the_same_model(hq):
    source, model = filled(hq=hq), built(hq=hq).eval()
    model.load_state_dict(source.state_dict())
    image = (torch.rand(24, 40, 3) * 255).byte().numpy()
    first, second = (each.encode(*each.prepare(image)) for each in (source, model))
    assert torch.equal(first.image_embedding, second.image_embedding)
    assert torch.equal(source.decode(first, boxes=BOX).masks, model.decode(second, boxes=BOX).masks)


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("ImageEncoderViT", {"in_chans": 4}, "in_chans=3 alone"),
        ("ImageEncoderViT", {"norm_layer": nn.LayerNorm}, "norm_layer_eps=1e-06 alone"),
        ("ImageEncoderViT", {"act_layer": nn.ReLU}, "act_layer"),
        (
            "TwoWayTransformer",
            {"depth": 1, "embedding_dim": 8, "num_heads": 1, "mlp_dim": 8, "activation": nn.GELU},
            "ReLU",
        ),
    ],
)
def test_what_no_published_model_has_is_refused(module, arguments, said):
    with pytest.raises(InputError, match=said):
        getattr(modeling, module)(**arguments)
