import pytest
import torch
from golden.fill_weights import fill_state_dict

from persam_hq.modeling.mask_decoder import MaskDecoder, SamUpscaling, sam_hq_modules, select_masks
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


def output(*, hq):
    """Masks whose every pixel is their number: 0 to 3 and ten times the row, the HQ mask 100."""
    masks = torch.arange(4.0)[None, :, None, None] + 10 * torch.arange(2.0)[:, None, None, None]
    return DecoderOutput(
        masks=masks.expand(2, 4, 5, 6),
        iou_predictions=torch.tensor([[0.9, 0.1, 0.8, 0.3], [0.2, 0.7, 0.4, 0.6]]),
        hq_masks=torch.full((2, 1, 5, 6), 100.0) if hq else None,
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
def test_selection(hq, options, masks, iou):
    chosen, scores = select_masks(output(hq=hq), **options)
    assert chosen.shape == (2, len(masks[0]), 5, 6)
    assert chosen[:, :, 0, 0].tolist() == masks
    assert chosen.amin().item() == min(map(min, masks))
    assert torch.allclose(scores, torch.tensor(iou))
