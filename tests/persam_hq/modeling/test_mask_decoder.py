import math

import pytest
import torch
import torch.nn.functional as F
from golden.fill_weights import fill_state_dict

from persam_hq.modeling.mask_decoder import (
    MaskDecoder,
    SamUpscaling,
    corrected_masks,
    sam_hq_modules,
    select_masks,
    stability,
    weighted_mask,
)
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.types import DecoderOutput

C, H, W, B, N = 16, 3, 4, 3, 2
HQ_NAMES = {"hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature"}


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def decoder(*, hq, presence=False):
    model = MaskDecoder(
        transformer=TwoWayTransformer(depth=2, embedding_dim=C, num_heads=2, mlp_dim=24),
        transformer_dim=C,
        output_upscaling=SamUpscaling(C),
        mask_dim=C // 8,
        iou_head_hidden_dim=C,
        hq=sam_hq_modules(transformer_dim=C, vit_dim=6) if hq else None,
        presence=presence,
    )
    fill_state_dict(model)
    return model.eval()


def inputs(b=B):
    return {
        "image_embeddings": noise(1, 1, C, H, W),
        "image_pe": noise(2, 1, C, H, W),
        "sparse_prompt_embeddings": noise(3, b, N, C),
        "dense_prompt_embeddings": noise(4, b, C, H, W),
    }


INTERM = [noise(6, 1, H, W, 6), noise(7, 1, H, W, 6)]


def parts(model):
    return {key.split(".")[0] for key in model.state_dict()}


def test_hq_and_presence_are_built_only_when_asked_for():
    plain = parts(decoder(hq=False))
    assert not plain & (HQ_NAMES | {"presence_head"})
    assert parts(decoder(hq=True)) - plain == HQ_NAMES
    assert parts(decoder(hq=False, presence=True)) - plain == {"presence_head"}


@torch.no_grad()
def test_shapes_of_everything():
    output = decoder(hq=True, presence=True)(**inputs(), interm_embeddings=INTERM)
    assert output.masks.shape == (B, 4, 4 * H, 4 * W)
    assert output.iou_predictions.shape == (B, 4)
    assert output.hq_masks.shape == (B, 1, 4 * H, 4 * W)
    assert output.presence.shape == (B,)


@torch.no_grad()
def test_without_features_for_them_there_are_no_hq_masks():
    assert decoder(hq=True)(**inputs()).hq_masks is None
    plain = decoder(hq=False)(**inputs(), interm_embeddings=INTERM, hq_features=noise(8, 1, 2, 4 * H, 4 * W))
    assert plain.hq_masks is None
    assert plain.presence is None


@torch.no_grad()
def test_hq_features_given_equal_those_fused_from_the_first_interm_embedding():
    model, given = decoder(hq=True), inputs()
    features = model.fuse_hq_features(image_embeddings=given["image_embeddings"], interm_embeddings=INTERM)
    assert features.shape == (1, C // 8, 4 * H, 4 * W)
    fused, handed = model(**given, interm_embeddings=INTERM), model(**given, hq_features=features)
    assert torch.equal(fused.hq_masks, handed.hq_masks)
    other = model(**given, interm_embeddings=[INTERM[0], INTERM[1] + 1])
    assert torch.equal(fused.hq_masks, other.hq_masks)


@torch.no_grad()
def test_finer_hq_features_give_a_finer_hq_mask_and_leave_sams_alone():
    model, given, features = decoder(hq=True), inputs(), noise(8, 1, C // 8, 8 * H, 8 * W)
    fine, coarse = (model(**given, hq_features=f) for f in (features, F.avg_pool2d(features, 2)))
    assert fine.hq_masks.shape == (B, 1, 8 * H, 8 * W)
    assert torch.equal(fine.masks, coarse.masks)
    # A constant says the same on every grid: the finer mask is the coarser one between its cells
    flat = [model(**given, hq_features=torch.ones(1, C // 8, s * H, s * W)).hq_masks for s in (4, 8)]
    assert torch.allclose(flat[1], F.interpolate(flat[0], scale_factor=2, mode="bilinear"), atol=1e-4)


@torch.no_grad()
def test_the_hq_mask_sees_the_detail_of_its_features():
    model, features = decoder(hq=True), torch.zeros(1, C // 8, 8 * H, 8 * W)
    features[..., 5, 7] = 1
    spiked, flat = (model(**inputs(), hq_features=f).hq_masks for f in (features, torch.zeros_like(features)))
    changed = (spiked - flat).abs() > 1e-6
    assert bool(changed[:, 0, 5, 7].all())
    assert changed.sum() == B


@torch.no_grad()
def test_a_mask_is_a_tokens_weights_times_the_mask_features():
    model = decoder(hq=True)
    tokens, features = noise(9, B, 4, C), noise(10, B, C // 8, 12, 16)
    masks = model._masks(tokens, features)
    weights = model.output_hypernetworks_mlps[2](tokens[1, 2])
    want = sum(weights[c] * features[1, c] for c in range(C // 8))
    assert torch.allclose(masks[1, 2], want, atol=1e-5)


@torch.no_grad()
def test_sams_upscaling_does_not_look_at_skips():
    upscaling, x = SamUpscaling(C), noise(1, 1, C, H, W)
    assert torch.equal(upscaling.upscale(x, None), upscaling.upscale(x, [torch.full((1, 4, 6, 8), 7.0)]))
    assert upscaling.upscale(x, None).shape == (1, C // 8, 4 * H, 4 * W)


@torch.no_grad()
@pytest.mark.parametrize("attn_sim", [None, torch.sigmoid(noise(11, B, 1, 1, H * W))], ids=["free", "steered"])
@pytest.mark.parametrize("target", [None, noise(12, B, 1, C)], ids=["untargeted", "targeted"])
def test_a_batch_of_objects_is_what_they_are_alone(attn_sim, target):
    model, given = decoder(hq=True, presence=True), inputs()
    together = model(**given, interm_embeddings=INTERM, attn_sim=attn_sim, target_embedding=target)
    for index in range(B):
        one = slice(index, index + 1)
        prompts = {name: given[name][one] for name in ("sparse_prompt_embeddings", "dense_prompt_embeddings")}
        alone = model(
            **given | prompts,
            interm_embeddings=INTERM,
            attn_sim=None if attn_sim is None else attn_sim[one],
            target_embedding=None if target is None else target[one],
        )
        for name in ("masks", "iou_predictions", "hq_masks", "presence"):
            assert torch.allclose(getattr(together, name)[one], getattr(alone, name), atol=1e-5), name


def test_masks_on_the_grid_of_the_hq_mask_are_added():
    masks, hq = noise(13, 2, 3, 5, 6), noise(14, 2, 1, 5, 6)
    assert torch.equal(corrected_masks(masks, hq), masks + hq)


def test_coarser_masks_are_brought_to_the_grid_of_the_hq_mask():
    # A ramp stays one between the centres of its cells, and is held at its ends
    ramp, hq = torch.arange(4.0).expand(1, 2, 3, 4), torch.zeros(1, 1, 6, 8)
    hq[..., 2, 5] = 10
    got = corrected_masks(ramp, hq)
    assert got.shape == (1, 2, 6, 8)
    assert got[0, 1, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert got[0, :, 2, 5].tolist() == [12.25, 12.25]


def output(*, hq, finer=1):
    """Masks whose every pixel is their number: 0 to 3 and ten times the row, the HQ mask 100."""
    masks = torch.arange(4.0)[None, :, None, None] + 10 * torch.arange(2.0)[:, None, None, None]
    return DecoderOutput(
        masks=masks.expand(2, 4, 5, 6),
        iou_predictions=torch.tensor([[0.9, 0.1, 0.8, 0.3], [0.2, 0.7, 0.4, 0.6]]),
        hq_masks=torch.full((2, 1, 5 * finer, 6 * finer), 100.0) if hq else None,
    )


@pytest.mark.parametrize(
    ("hq", "options", "masks", "iou"),
    [
        pytest.param(False, {"multimask_output": False}, [[0], [10]], [[0.9], [0.2]], id="SAM, single"),
        pytest.param(
            False,
            {"multimask_output": True},
            [[1, 2, 3], [11, 12, 13]],
            [[0.1, 0.8, 0.3], [0.7, 0.4, 0.6]],
            id="SAM, three",
        ),
        pytest.param(True, {"multimask_output": False}, [[100], [110]], [[0.9], [0.2]], id="HQ, single"),
        pytest.param(True, {"multimask_output": True}, [[102], [111]], [[0.8], [0.7]], id="HQ, best of three"),
        pytest.param(
            True, {"multimask_output": True, "hq_token_only": True}, [[100], [100]], [[0.8], [0.7]], id="HQ mask alone"
        ),
        pytest.param(
            False,
            {"multimask_output": False, "hq_token_only": True},
            [[0], [10]],
            [[0.9], [0.2]],
            id="no HQ mask to have",
        ),
    ],
)
@pytest.mark.parametrize("finer", [1, 2])
def test_selection(hq, options, masks, iou, finer):
    chosen, scores = select_masks(output(hq=hq, finer=finer), **options)
    assert chosen.shape == (2, len(masks[0]), *((5 * finer, 6 * finer) if hq else (5, 6)))
    assert chosen[:, :, 0, 0].tolist() == masks
    assert chosen.amin().item() == min(map(min, masks))
    assert torch.allclose(scores, torch.tensor(iou))


WEIGHTS = torch.tensor([0.5, 0.75, -0.25])


@pytest.mark.parametrize("finer", [1, 2])
def test_merging_weighs_three_masks_and_adds_the_hq_mask_once(finer):
    # 0.5 * 1 + 0.75 * 2 - 0.25 * 3, and as the weights sum to 1, the row's 10 is added to that
    merged, iou = weighted_mask(output(hq=False), WEIGHTS)
    assert merged[:, 0, 0, 0].tolist() == [1.25, 11.25]
    assert torch.allclose(iou, torch.tensor([[0.8], [0.4]]))
    with_hq, iou = weighted_mask(output(hq=True, finer=finer), WEIGHTS)
    assert with_hq.shape == (2, 1, 5 * finer, 6 * finer)
    assert with_hq[:, 0, 0, 0].tolist() == [101.25, 111.25]
    assert torch.allclose(iou, torch.tensor([[0.8], [0.4]]))
    alone, _ = weighted_mask(output(hq=True, finer=finer), WEIGHTS, hq_token_only=True)
    assert alone[:, 0, 0, 0].tolist() == [100, 100]


def test_each_object_has_weights_of_its_own():
    one_mask = torch.tensor([[0.0, 1, 0], [0, 0, 1]])
    merged, iou = weighted_mask(output(hq=False), one_mask)
    assert merged[:, 0, 0, 0].tolist() == [2, 13]
    assert torch.allclose(iou, torch.tensor([[0.8], [0.6]]))


def test_stability_is_the_overlap_of_two_thresholds():
    logits = torch.tensor([[[9.0, 9.0], [0.5, -0.5]], [[-9.0, -9.0], [-9.0, -9.0]]])
    assert stability(logits).tolist() == [0.5, 0]


def test_stability_is_the_iou_of_two_cuts():
    logits = torch.tensor([[[3.0, 0.5, -0.5, -3.0]], [[9.0, 9.0, -9.0, -9.0]], [[-9.0] * 4]])
    first, second, third = stability(logits, threshold=0, offset=1.0, empty=math.nan).tolist()
    assert (first, second) == (pytest.approx(1 / 3), 1.0)
    assert math.isnan(third)
