"""The decoder under every combination of what it may be given; docs/explanation/decoder.md has the 16 meanings."""

import math
from itertools import combinations, product

import pytest
import torch
from golden.fill_weights import fill_state_dict
from torch.nn import functional as F

from persam_hq.errors import InputError
from persam_hq.modeling.mask_decoder import MaskDecoder, SamUpscaling, sam_hq_modules, select_masks
from persam_hq.modeling.transformer import TwoWayTransformer
from persam_hq.predictor import decode, encode
from persam_hq.types import Guidance, PromptSet

C, H, W, B, N, HEADS = 16, 3, 4, 2, 2, 2
SWITCHES = ("attn_sim", "target_embedding", "interm_embeddings", "hq_token_only")
COMBINATIONS = list(product([False, True], repeat=4))
GUIDED = list(product([False, True], repeat=2))


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PARTS = {
    "image_embeddings": noise(1, 1, C, H, W),
    "image_pe": noise(2, 1, C, H, W),
    "sparse_prompt_embeddings": noise(3, B, N, C),
    "dense_prompt_embeddings": noise(4, B, C, H, W),
}
SIM, TARGET = torch.sigmoid(noise(5, B, 1, 1, H * W)), noise(6, 1, 1, C)
INTERM = [noise(7, 1, H, W, 6), noise(8, 1, H, W, 6)]


def name(combination):
    return "+".join(switch for switch, on in zip(SWITCHES, combination, strict=True) if on) or "nothing"


def built(*, hq=True):
    model = MaskDecoder(
        transformer=TwoWayTransformer(depth=2, embedding_dim=C, num_heads=HEADS, mlp_dim=24),
        transformer_dim=C,
        output_upscaling=SamUpscaling(C),
        mask_dim=C // 8,
        iou_head_hidden_dim=C,
        hq=sam_hq_modules(transformer_dim=C, vit_dim=6) if hq else None,
    )
    fill_state_dict(model)
    return model.eval()


@pytest.fixture(scope="module")
def decoder():
    return built()


def given(sim, target, interm):
    return PARTS | {
        "attn_sim": SIM if sim else None,
        "target_embedding": TARGET if target else None,
        "interm_embeddings": INTERM if interm else None,
    }


def attend(attention, q, k, v, sim=None):
    """Attention of one head at a time, with PerSAM's second softmax."""
    q, k, v = attention.q_proj(q), attention.k_proj(k), attention.v_proj(v)
    width = q.shape[-1] // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        weights = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width)).softmax(dim=-1)
        if sim is not None:
            weights = (weights + sim[:, 0]).softmax(dim=-1)
        heads.append(weights @ v[..., part])
    return attention.out_proj(torch.cat(heads, dim=-1))


def exchanged(model, tokens, image, positions, *, sim, target):
    """The two-way transformer as published, with additions in place where the published code has them in place."""
    transformer = model.transformer
    queries, keys = tokens, image
    for index, layer in enumerate(transformer.layers):
        if target is not None:
            queries += target  # in the first layer the positional term is this very tensor
        if index == 0:
            queries = layer.self_attn(q=queries, k=queries, v=queries)
        else:
            q = queries + tokens
            queries = queries + attend(layer.self_attn, q, q, queries)
        queries = layer.norm1(queries)
        read = attend(layer.cross_attn_token_to_image, queries + tokens, keys + positions, keys, sim)
        queries = layer.norm2(queries + read)
        queries = layer.norm3(queries + layer.mlp(queries))
        told = attend(layer.cross_attn_image_to_token, keys + positions, queries + tokens, queries)
        keys = layer.norm4(keys + told)
    q = queries + tokens if target is None else queries + tokens + target
    read = attend(transformer.final_attn_token_to_image, q, keys + positions, keys)
    return transformer.norm_final_attn(queries + read), keys


def by_hand(model, combination, *, multimask_output):
    """Masks and IoU as SAM-HQ's decoder and PerSAM's transformer are published, an object at a time."""
    sim, target, interm, hq_only = combination
    all_masks, all_iou = [], []
    for row in range(B):
        one = slice(row, row + 1)
        learnt = torch.cat([model.iou_token.weight, model.mask_tokens.weight, model.hf_token.weight])
        tokens = torch.cat([learnt[None], PARTS["sparse_prompt_embeddings"][one]], dim=1).clone()
        image = (PARTS["image_embeddings"] + PARTS["dense_prompt_embeddings"][one]).flatten(2).transpose(1, 2)
        positions = PARTS["image_pe"].flatten(2).transpose(1, 2)
        tokens, image = exchanged(
            model, tokens, image, positions, sim=SIM[one] if sim else None, target=TARGET if target else None
        )

        features = model.output_upscaling(image.transpose(1, 2).reshape(1, C, H, W))[0]
        sam = [
            (model.output_hypernetworks_mlps[i](tokens[0, 1 + i])[:, None, None] * features).sum(dim=0)
            for i in range(4)
        ]
        iou = model.iou_prediction_head(tokens[0, 0])
        kept = [1, 2, 3] if multimask_output else [0]
        if not interm:
            all_masks.append(torch.stack([sam[i] for i in kept]))
            all_iou.append(iou[kept])
            continue
        early = model.compress_vit_feat(INTERM[0].permute(0, 3, 1, 2)) + model.embedding_encoder(
            PARTS["image_embeddings"]
        )
        fine = model.embedding_maskfeature(features[None])[0] + early[0]
        hq = (model.hf_mlp(tokens[0, 5])[:, None, None] * fine).sum(dim=0)
        best = max(kept, key=lambda i: float(iou[i]))
        all_masks.append((hq if hq_only else sam[best] + hq)[None])
        all_iou.append(iou[best][None])
    return torch.stack(all_masks), torch.stack(all_iou)


@torch.no_grad()
@pytest.mark.parametrize("multimask_output", [True, False], ids=["three", "one"])
@pytest.mark.parametrize("combination", COMBINATIONS, ids=name)
def test_every_combination_is_what_is_published(decoder, combination, multimask_output):
    *decoded, hq_only = combination
    output = decoder(**given(*decoded))
    masks, iou = select_masks(output, multimask_output=multimask_output, hq_token_only=hq_only)
    want_masks, want_iou = by_hand(decoder, combination, multimask_output=multimask_output)
    assert masks.shape == want_masks.shape
    assert torch.allclose(masks, want_masks, atol=1e-4)
    assert torch.allclose(iou, want_iou, atol=1e-4)


@torch.no_grad()
def test_each_combination_says_something_else_but_where_there_is_no_hq_mask(decoder):
    found = {}
    for combination in COMBINATIONS:
        *decoded, hq_only = combination
        masks, _ = select_masks(decoder(**given(*decoded)), multimask_output=False, hq_token_only=hq_only)
        found[combination] = masks
    for first, second in combinations(COMBINATIONS, 2):
        same = torch.equal(found[first], found[second])
        # Without interm embeddings there is no HQ mask, so hq_token_only has nothing to choose
        assert same == (first[:2] == second[:2] and not first[2] and not second[2]), (name(first), name(second))


@torch.no_grad()
@pytest.mark.parametrize(("sim", "target"), GUIDED)
def test_interm_embeddings_leave_sams_masks_alone(decoder, sim, target):
    without, with_interm = (decoder(**given(sim, target, interm)) for interm in (False, True))
    assert torch.equal(without.masks, with_interm.masks)
    assert torch.equal(without.iou_predictions, with_interm.iou_predictions)
    assert without.hq_masks is None
    assert with_interm.hq_masks is not None


@torch.no_grad()
@pytest.mark.parametrize(("sim", "target"), GUIDED)
def test_the_correction_is_the_hq_mask_on_top(decoder, sim, target):
    output = decoder(**given(sim, target, True))
    both, iou = select_masks(output, multimask_output=True)
    alone, iou_alone = select_masks(output, multimask_output=True, hq_token_only=True)
    best = output.iou_predictions[:, 1:].argmax(dim=1) + 1
    sam = torch.stack([output.masks[row, index] for row, index in enumerate(best)])
    assert torch.allclose(both[:, 0] - alone[:, 0], sam, atol=1e-4)
    assert torch.equal(iou, iou_alone)


@torch.no_grad()
def test_the_hq_token_is_seen_by_sams_tokens_also_where_no_hq_mask_is_made(decoder):
    plain = built(hq=False)
    plain.load_state_dict({key: value for key, value in decoder.state_dict().items() if key in plain.state_dict()})
    with_token, without = (model(**given(False, False, False)).masks for model in (decoder, plain))
    assert (with_token - without).abs().max() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("interm", [False, True])
def test_guidance_acts_through_the_tokens_alone(decoder, interm):
    # The HQ features depend on the image, so guiding the tokens leaves them as they are
    model, parts = decoder, given(True, True, interm)
    features = model.fuse_hq_features(image_embeddings=PARTS["image_embeddings"], interm_embeddings=INTERM)
    handed = model(**parts | {"interm_embeddings": None}, hq_features=features if interm else None)
    output = model(**parts)
    assert torch.equal(handed.masks, output.masks)
    if interm:
        assert torch.allclose(handed.hq_masks, output.hq_masks, atol=1e-6)


@torch.no_grad()
def test_similarity_that_is_the_same_everywhere_says_nothing(decoder):
    # It cancels in the softmax: what stays is the second softmax
    flat = [decoder(**given(False, True, True) | {"attn_sim": torch.full_like(SIM, level)}) for level in (0.0, 0.7)]
    assert torch.allclose(flat[0].masks, flat[1].masks, atol=1e-4)
    assert torch.allclose(flat[0].hq_masks, flat[1].hq_masks, atol=1e-4)
    assert not torch.allclose(flat[0].masks, decoder(**given(False, True, True)).masks, atol=1e-3)


@pytest.mark.parametrize(("sim", "target"), GUIDED)
def test_predictors_refuse_the_hq_mask_where_there_is_none(square_plain, sim, target):
    features = encode(square_plain, torch.zeros(24, 40, 3, dtype=torch.uint8).numpy())
    guidance = Guidance(
        attn_sim=F.softmax(noise(1, 1, 1, 1, 16), dim=-1) if sim else None,
        target_embedding=noise(2, 1, 1, 32) if target else None,
    )
    with pytest.raises(InputError, match="no HQ parts"):
        decode(square_plain, features, PromptSet.from_points(positive=[(9, 9)]), hq_token_only=True, guidance=guidance)
