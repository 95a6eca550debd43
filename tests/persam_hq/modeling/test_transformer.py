import math

import numpy as np
import pytest
import torch
from golden.fill_weights import fill_state_dict

from persam_hq.modeling.transformer import Attention, TwoWayTransformer

C, H, W, N = 16, 3, 4, 5


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def transformer(depth=2):
    model = TwoWayTransformer(depth=depth, embedding_dim=C, num_heads=2, mlp_dim=24)
    fill_state_dict(model)
    return model.eval()


def inputs(b=2):
    return {
        "image_embedding": noise(1, b, C, H, W),
        "image_pe": noise(2, b, C, H, W),
        "point_embedding": noise(3, b, N, C),
    }


SIMILARITY = torch.sigmoid(noise(4, 2, 1, 1, H * W))
TARGET = noise(5, 2, 1, C)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def linear(layer, x):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


@torch.no_grad()
@pytest.mark.parametrize("guided", [False, True])
def test_target_guided_attention_is_a_softmax_of_softmax_plus_similarity(guided):
    attention = Attention(embedding_dim=C, num_heads=2, downsample_rate=2)
    fill_state_dict(attention)
    q, k, v = noise(1, 1, N, C), noise(2, 1, H * W, C), noise(3, 1, H * W, C)
    got = attention(q=q, k=k, v=v, attn_sim=SIMILARITY[:1] if guided else None)

    q, k, v = (
        linear(p, t[0].numpy())
        for p, t in zip((attention.q_proj, attention.k_proj, attention.v_proj), (q, k, v), strict=True)
    )
    heads = []
    for head in (slice(0, 4), slice(4, 8)):
        weights = softmax(q[:, head] @ k[:, head].T / math.sqrt(4))
        if guided:
            weights = softmax(weights + SIMILARITY[0, 0].numpy())
        heads.append(weights @ v[:, head])
    want = linear(attention.out_proj, np.concatenate(heads, axis=1))
    assert np.allclose(got[0].numpy(), want, atol=1e-5)


@torch.no_grad()
def test_every_combination_of_guidance_is_another_result():
    model, results = transformer(), []
    for attn_sim in (None, SIMILARITY):
        for target in (None, TARGET):
            tokens, image = model(**inputs(), attn_sim=attn_sim, target_embedding=target)
            assert tokens.shape == (2, N, C)
            assert image.shape == (2, H * W, C)
            results.append(tokens)
    for index, one in enumerate(results):
        for other in results[index + 1 :]:
            assert (one - other).abs().max() > 1e-3


@torch.no_grad()
def test_in_the_first_block_the_target_acts_as_if_it_were_part_of_the_tokens():
    # The positional term is the tokens themselves, so it carries the first addition too
    model, given = transformer(depth=1), inputs()
    _, got = model(**given, target_embedding=TARGET)
    _, want = model(**given | {"point_embedding": given["point_embedding"] + TARGET})
    assert torch.allclose(got, want, atol=1e-6)


@torch.no_grad()
def test_the_target_is_added_before_every_block_and_to_the_last_queries():
    model, given = transformer(), inputs()
    got, _ = model(**given, target_embedding=TARGET)

    keys, key_pe = (given[name].flatten(2).transpose(1, 2) for name in ("image_embedding", "image_pe"))
    query_pe = given["point_embedding"] + TARGET
    queries = query_pe
    queries, keys = model.layers[0](queries=queries, keys=keys, query_pe=query_pe, key_pe=key_pe, attn_sim=None)
    queries, keys = model.layers[1](
        queries=queries + TARGET, keys=keys, query_pe=query_pe, key_pe=key_pe, attn_sim=None
    )
    attended = model.final_attn_token_to_image(q=queries + query_pe + TARGET, k=keys + key_pe, v=keys)
    assert torch.allclose(got, model.norm_final_attn(queries + attended), atol=1e-6)


@torch.no_grad()
def test_guidance_of_zero_is_no_target_but_still_a_second_softmax():
    model, given = transformer(), inputs()
    plain, _ = model(**given)
    assert torch.allclose(model(**given, target_embedding=torch.zeros(1, 1, C))[0], plain, atol=1e-6)
    flattened, _ = model(**given, attn_sim=torch.zeros(1, 1, 1, H * W))
    assert (flattened - plain).abs().max() > 1e-4


@torch.no_grad()
def test_a_batch_is_what_its_members_are_alone():
    model, given = transformer(), inputs()
    together, image = model(**given, attn_sim=SIMILARITY, target_embedding=TARGET)
    for index in range(2):
        one = slice(index, index + 1)
        alone, alone_image = model(
            **{name: value[one] for name, value in given.items()},
            attn_sim=SIMILARITY[one],
            target_embedding=TARGET[one],
        )
        assert torch.allclose(together[one], alone, atol=1e-5)
        assert torch.allclose(image[one], alone_image, atol=1e-5)


@torch.no_grad()
def test_nothing_that_is_handed_in_changes():
    given = inputs() | {"attn_sim": SIMILARITY.clone(), "target_embedding": TARGET.clone()}
    before = {name: value.clone() for name, value in given.items()}
    transformer()(**given)
    assert all(torch.equal(value, before[name]) for name, value in given.items())
