from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from stand_ins.lite import EMBED, FINE, GRID, tiny_lite

from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    PREVIOUS_MASK_CHANNELS,
    PRIOR_CHANNELS,
    RIDGE_CHANNELS,
    PriorChannel,
    PriorSources,
)
from persam_hq.modeling.lite.model import WindowedHQ, guided_similarity, normalise_similarity
from persam_hq.modeling.lite.prompt_maps import box_shapes
from persam_hq.modeling.lite.window import cell_positions, resample_window
from persam_hq.modeling.mask_decoder import token_product
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.types import Guidance

WINDOWS = torch.tensor([[8.0, 16, 72, 80], [40, 0, 160, 96]])


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


IMAGE = noise(0, 1, 3, 96, 160)


@pytest.fixture(scope="module")
def model():
    return tiny_lite().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def seen(model):
    embedding, interm, hq = model.encode(IMAGE)
    return model.through_windows(embedding, interm, WINDOWS, hq=hq)


PRIOR = noise(1, 2, PRIOR_CHANNELS, 2 * GRID, 2 * GRID)


def test_an_image_is_normalised_near_its_size_and_padded_with_grey(model):
    image = np.full((100, 150, 3), 255, dtype=np.uint8)
    pixels, geometry = model.prepare(image)
    assert (geometry.original, geometry.input, geometry.padded) == ((100, 150), (100, 150), (128, 160))
    assert pixels.shape == (1, 3, 128, 160)
    assert torch.equal(pixels[..., :100, :150], torch.ones(1, 3, 100, 150))
    assert pixels[..., 100:, :].abs().max() == 0
    assert pixels[..., 150:].abs().max() == 0


@pytest.mark.parametrize(("size", "resized"), [((60, 64), (120, 128)), ((288, 384), (144, 192))])
def test_small_and_large_images_are_resized(model, size, resized):
    assert model.prepare(np.zeros((*size, 3), np.uint8))[1].input == resized


def test_an_image_is_encoded_with_its_hq_features(model):
    embedding, interm, hq = model.encode(IMAGE)
    want, want_interm = model.image_encoder(IMAGE)
    assert torch.equal(embedding, want)
    assert all(torch.equal(got, made) for got, made in zip(interm, want_interm, strict=True))
    fused = model.mask_decoder.fuse_hq_features(image_embeddings=want, interm_embeddings=want_interm)
    assert hq.shape == (1, FINE, 24, 40)
    assert torch.equal(hq, fused)
    assert tiny_lite(hq=False).encode(IMAGE)[2] is None


def test_windows_have_four_grids(seen):
    assert seen.embedding.shape == (2, EMBED, GRID, GRID)
    assert seen.middle.shape == (2, 8, 2 * GRID, 2 * GRID)
    assert seen.fine.shape == (2, 8, 4 * GRID, 4 * GRID)
    assert seen.hq.product(torch.ones(2, FINE)).shape == (2, 1, 8 * GRID, 8 * GRID)
    assert repr(seen.hq).endswith(f"windows=2, grid={8 * GRID})")
    assert torch.allclose(seen.keys.norm(dim=1), torch.ones(()), atol=1e-5)
    assert repr(seen) == "WindowFeatures(embedding=(2, 16, 6, 6))"


def test_rows_keep_their_order(seen):
    turned = seen.rows([1, 0])
    assert torch.equal(turned.windows, WINDOWS[[1, 0]])
    for name in ("embedding", "middle", "fine", "keys"):
        assert torch.equal(getattr(turned, name), getattr(seen, name)[[1, 0]])
    weights = torch.rand(2, FINE)
    assert torch.equal(turned.hq.product(weights[[1, 0]]), seen.hq.product(weights)[[1, 0]])
    of_two_images = WindowedHQ(features=torch.rand(2, FINE, 8, 8), windows=WINDOWS, grid=4)
    turned = of_two_images.rows([1, 0]).product(weights[[1, 0]])
    assert torch.equal(turned, of_two_images.product(weights)[[1, 0]])


def test_the_product_with_a_token_and_resampling_come_in_either_order():
    features, weights = torch.rand(1, FINE, 20, 30), torch.rand(2, FINE)
    seen = resample_window(features, WINDOWS, grid=12, stride=4)
    view = WindowedHQ(features=features, windows=WINDOWS, grid=12)
    assert torch.allclose(view.product(weights), token_product(weights, seen), atol=1e-5)
    assert torch.allclose(token_product(weights, seen)[:, 0], torch.einsum("bc,bchw->bhw", weights, seen), atol=1e-5)


def test_hq_features_are_seen_at_the_stride_of_the_fine_map(model):
    # One cell of 4 pixels at (80, 40): half across and five eighths down the second window
    hq = torch.zeros(1, 1, 24, 40)
    hq[..., 10, 20] = 1
    embedding, interm, _ = model.encode(IMAGE)
    window = torch.tensor([[64.0, 16, 112, 64]])  # 48 cells of a pixel each
    seen = model.through_windows(embedding, interm, window, hq=hq).hq.product(torch.ones(1, 1))[0, 0]
    y, x = divmod(int(seen.argmax()), 8 * GRID)
    assert (16 + y + 0.5, 64 + x + 0.5) == pytest.approx((42, 82), abs=0.6)
    assert model.through_windows(embedding, interm, window).hq is None
    assert model.through_windows(embedding, interm, window).rows([0]).hq is None


@pytest.mark.parametrize("stride", [1, 4])
def test_remembering_tells_the_masks_stride_from_the_sizes(model, stride):
    keys = noise(2, 1, 8, 12, 20)
    masks = torch.zeros(2, 1, 96 // stride, 160 // stride)
    masks[..., 24 // stride : 64 // stride, 40 // stride : 88 // stride] = 1
    memory = model.window_memory(keys, masks, WINDOWS, grid=4)
    assert memory.keys.shape == (2, 16, 8)
    assert torch.allclose(memory.keys.norm(dim=-1), torch.ones(()), atol=1e-5)
    assert torch.allclose(memory.mask, resample_window(masks, WINDOWS, grid=4, stride=stride).flatten(1))
    assert torch.equal(memory.positions, cell_positions(WINDOWS, grid=4))


def test_the_last_result_is_recalled_through_the_windows_of_now(model):
    keys, logits = noise(3, 2, 8, GRID, GRID), 5 * noise(4, 2, 1, 4 * GRID, 4 * GRID)
    memory, mask = model.previous_sources(keys, logits, source=WINDOWS, destination=WINDOWS)
    assert torch.allclose(mask, torch.sigmoid(logits), atol=1e-5)
    assert torch.allclose(memory.mask, F.avg_pool2d(torch.sigmoid(logits), 4).flatten(1), atol=1e-6)
    away = WINDOWS + 1000
    _, mask = model.previous_sources(keys, logits, source=WINDOWS, destination=away)
    assert mask.abs().max() == 0


def test_the_prior_of_what_is_seen(model, seen):
    prior = model.prior(seen, PriorSources())
    assert torch.equal(prior, torch.zeros(2, PRIOR_CHANNELS, 2 * GRID, 2 * GRID))


def test_prompts_count_from_the_windows_corner(model, seen):
    # The same place in two windows of different size: half across, a quarter down
    points = torch.tensor([[[40.0, 32]], [[100, 24]]])
    sparse, _ = model._embed_prompts(seen, PromptBatch(points=(points, torch.ones(2, 1))))
    assert torch.allclose(sparse[0], sparse[1], atol=1e-4)
    corners = torch.tensor([[24.0, 32, 56, 64], [70, 24, 130, 72]])
    sparse, _ = model._embed_prompts(seen, PromptBatch(boxes=corners))
    assert torch.allclose(sparse[0], sparse[1], atol=1e-4)


@pytest.mark.parametrize(
    "prompts",
    [
        None,
        PromptBatch(points=(torch.tensor([[[40.0, 32]], [[99, 24]]]), torch.ones(2, 1))),
        PromptBatch(boxes=torch.tensor([[24.0, 32, 56, 64], [70, 24, 130, 72]])),
        PromptBatch(masks=noise(5, 2, 1, 4 * GRID, 4 * GRID)),
    ],
    ids=["none", "points", "boxes", "masks"],
)
@pytest.mark.parametrize("guided", [False, True])
def test_a_batch_is_what_its_members_are_alone(model, seen, prompts, guided):
    guidance = None
    if guided:
        targets = noise(6, 2, EMBED)
        guidance = Guidance(attn_sim=guided_similarity(seen.embedding, targets), target_embedding=targets[:, None])
    together = model.decode(seen, prior=PRIOR, prompts=prompts, guidance=guidance)
    assert together.masks.shape == (2, 4, 4 * GRID, 4 * GRID)
    assert together.hq_masks.shape == (2, 1, 8 * GRID, 8 * GRID)
    for index in range(2):
        alone = model.decode(
            seen.rows([index]),
            prior=PRIOR[index : index + 1],
            prompts=None if prompts is None else one_of(prompts, index),
            guidance=None
            if guidance is None
            else Guidance(
                attn_sim=guidance.attn_sim[index : index + 1],
                target_embedding=guidance.target_embedding[index : index + 1],
            ),
        )
        for name in ("masks", "hq_masks", "iou_predictions", "presence"):
            assert torch.allclose(getattr(together, name)[index], getattr(alone, name)[0], atol=1e-4), name


def one_of(prompts, index):
    one = slice(index, index + 1)
    return PromptBatch(
        points=None if prompts.points is None else (prompts.points[0][one], prompts.points[1][one]),
        boxes=None if prompts.boxes is None else prompts.boxes[one],
        masks=None if prompts.masks is None else prompts.masks[one],
    )


def test_the_prior_and_the_skips_reach_the_masks(model, seen):
    one, other = (model.decode(seen, prior=prior).masks for prior in (PRIOR, torch.zeros_like(PRIOR)))
    assert (one - other).abs().max() > 1e-3


def test_a_prompt_stands_for_the_last_frames_mask(model, seen):
    shapes = box_shapes(torch.tensor([[24.0, 32, 56, 64], [70, 24, 130, 72]]), WINDOWS, grid=4 * GRID)
    prior = model.prompt_prior(seen, shapes)
    assert prior.shape == (2, PRIOR_CHANNELS, 2 * GRID, 2 * GRID)
    # Nothing is known of a first frame
    unknown = [*FIRST_CHANNELS, *RIDGE_CHANNELS]
    assert prior[:, unknown].abs().max() == 0
    assert torch.equal(prior[:, PriorChannel.PREVIOUS_KNOWN], torch.ones(2, 2 * GRID, 2 * GRID))
    # The last four channels are the prompt itself, four cells in one
    assert torch.allclose(F.pixel_shuffle(prior[:, PREVIOUS_MASK_CHANNELS], 2), 2 * shapes - 1, atol=1e-6)


def test_a_prompts_matches_are_those_of_this_very_image(model, seen):
    shapes = torch.zeros(2, 1, 4 * GRID, 4 * GRID)
    shapes[..., 8:16, 8:16] = 1
    memory = model.match_memory(F.avg_pool2d(seen.keys, 2), F.avg_pool2d(shapes, 4), WINDOWS)
    want = model.prior(seen, PriorSources(previous=memory, previous_mask=shapes, prompted=True))
    assert torch.allclose(model.prompt_prior(seen, shapes), want, atol=1e-6)
    read = model.prompt_prior(seen, shapes)[:, 4]
    assert bool((read[:, 5:7, 5:7].mean(dim=(1, 2)) > read.mean(dim=(1, 2))).all())
    everywhere, nowhere = (model.prompt_prior(seen, torch.full_like(shapes, share))[:, 4] for share in (1.0, 0.0))
    assert torch.allclose(everywhere, torch.tensor(1.0), atol=1e-5)
    assert torch.allclose(nowhere, torch.tensor(-1.0), atol=1e-5)


def test_the_hq_mask_follows_the_hq_features_seen(model, seen):
    one, other = (
        model.decode(replace(seen, hq=hq), prior=PRIOR)
        for hq in (seen.hq, replace(seen.hq, features=seen.hq.features + 1))
    )
    assert torch.equal(one.masks, other.masks)
    assert (one.hq_masks - other.hq_masks).abs().max() > 1e-3


def test_features_seen_without_hq_give_no_hq_mask(model, seen):
    assert model.decode(replace(seen, hq=None), prior=PRIOR).hq_masks is None


def test_without_hq_parts_there_are_no_hq_masks(seen):
    plain = tiny_lite(hq=False)
    output = plain.decode(seen, prior=PRIOR)
    assert output.hq_masks is None
    assert output.presence is not None


def test_similarity_is_standardised_and_squashed():
    similarity = noise(7, 2, 36)
    got = normalise_similarity(similarity)
    assert got.shape == (2, 1, 1, 36)
    for row in range(2):
        x = similarity[row].double().numpy()
        want = 1 / (1 + np.exp(-(x - x.mean()) / x.std(ddof=1)))
        assert np.allclose(got[row, 0, 0].numpy(), want, atol=1e-5)
    flat = normalise_similarity(torch.full((1, 9), 0.3))
    assert torch.allclose(flat, torch.tensor(0.5), atol=0.02)


def test_guided_similarity_compares_directions():
    embedding, targets = noise(8, 2, 5, 3, 3), noise(9, 2, 5)
    cosine = F.cosine_similarity(embedding.flatten(2), targets[..., None], dim=1)
    assert torch.allclose(guided_similarity(embedding, 7 * targets), normalise_similarity(cosine), atol=1e-5)
