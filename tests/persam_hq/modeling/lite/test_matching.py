import pytest
import torch
import torch.nn.functional as F

from persam_hq.modeling.lite import matching as direction_matching
from persam_hq.modeling.lite.matching import byte_product, direction_bytes, directions, match_directions, match_nearby

TEMPERATURE = torch.tensor(20.0)


def unit(*shape, seed):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def rounded(vectors):
    return directions(direction_bytes(vectors, dim=-1), dim=-1)


def in_float(queries, keys, mask):
    """The definition, one object at a time, on the same rounded directions."""
    cosine = rounded(queries) @ rounded(keys).transpose(1, 2)
    read = (torch.softmax(TEMPERATURE * cosine, dim=-1) * mask[:, None]).sum(dim=-1)
    sides = [torch.where(side[:, None], cosine, torch.tensor(-1.0)).amax(dim=-1) for side in (mask > 0.5, mask <= 0.5)]
    return read, *sides


@pytest.mark.parametrize("n", [1, 95, 96, 97, 200])
def test_every_query_finds_what_the_definition_says(n):
    queries, keys = unit(2, n, 16, seed=1), unit(2, 50, 16, seed=2)
    mask = torch.rand(2, 50, generator=torch.Generator().manual_seed(3))
    for got, expected in zip(
        match_directions(queries, keys, mask, temperature=TEMPERATURE), in_float(queries, keys, mask), strict=True
    ):
        assert got.shape == (2, n)
        assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 95, 96, 97, 200])
def test_near_keys_count_for_more_by_what_is_added(n):
    queries, keys = unit(2, n, 16, seed=1), unit(2, 50, 16, seed=2)
    generator = torch.Generator().manual_seed(3)
    mask, here, there = (torch.rand(2, *shape, generator=generator) for shape in ((50,), (n, 3), (50, 3)))
    got = match_nearby(queries, keys, mask, temperature=TEMPERATURE, here=here, there=there)
    cosine = rounded(queries) @ rounded(keys).transpose(1, 2)
    logits = TEMPERATURE * cosine + here @ there.transpose(1, 2)
    assert torch.allclose(got, (torch.softmax(logits, dim=-1) * mask[:, None]).sum(dim=-1), atol=1e-5)


def test_a_side_without_keys_is_as_unlike_as_can_be():
    queries, keys = unit(1, 5, 8, seed=1), unit(1, 7, 8, seed=2)
    read, inside, outside = match_directions(queries, keys, torch.zeros(1, 7), temperature=TEMPERATURE)
    assert bool((inside == -1).all())
    assert bool((outside > -1).all())
    assert bool((read == 0).all())
    read, inside, outside = match_directions(queries, keys, torch.ones(1, 7), temperature=TEMPERATURE)
    assert bool((outside == -1).all())
    assert torch.allclose(read, torch.ones(1, 5))


def test_keys_of_an_empty_slot_are_like_nothing():
    queries, keys = unit(1, 4, 8, seed=1), torch.zeros(1, 3, 8)
    _, inside, _ = match_directions(queries, keys, torch.ones(1, 3), temperature=TEMPERATURE)
    assert bool((inside == 0).all())


def test_with_and_without_a_processor_that_multiplies_bytes_the_bits_are_the_same(monkeypatch):
    queries, keys, mask = unit(2, 130, 128, seed=1), unit(2, 300, 128, seed=2), torch.rand(2, 300)
    results = []
    for has_it in (direction_matching._sums_bytes_exactly(), False):
        monkeypatch.setattr(direction_matching, "_multiplies_bytes", lambda has_it=has_it: has_it)
        results.append(match_directions(queries, keys, mask, temperature=TEMPERATURE))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_products_of_the_largest_bytes_are_exact():
    a = torch.full((3, 1040), 127, dtype=torch.int8)
    assert byte_product(a, -a.t().contiguous()).tolist() == [[-1040 * 127.0**2] * 3] * 3


def test_without_fast_products_of_bytes_floats_are_multiplied(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    monkeypatch.setattr(torch, "_int_mm", None)
    direction_matching._multiplies_bytes.cache_clear()
    try:
        a = torch.tensor([[127, -127]], dtype=torch.int8)
        assert byte_product(a, a.t().contiguous()).tolist() == [[2 * 127.0**2]]
    finally:
        direction_matching._multiplies_bytes.cache_clear()
