import torch
import torch.nn.functional as F

from persam_hq.modeling.lite.matching import direction_bytes, directions


def vectors(*, seed=0):
    return torch.randn(5, 128, 7, generator=torch.Generator().manual_seed(seed))


def test_a_direction_survives_whatever_the_length():
    unit = F.normalize(vectors(), dim=1)
    for length in (1e-6, 1.0, 1e6):
        stored = direction_bytes(length * unit, dim=1)
        assert stored.dtype == torch.int8
        assert stored.shape == unit.shape
        cosine = (directions(stored, dim=1) * unit).sum(dim=1)
        assert cosine.min() > 0.9995
    assert torch.equal(direction_bytes(unit, dim=1), direction_bytes(8 * unit, dim=1))


def test_inner_products_hardly_change():
    one, other = F.normalize(vectors(), dim=1), F.normalize(vectors(seed=1), dim=1)
    back = [directions(direction_bytes(v, dim=1), dim=1) for v in (one, other)]
    assert ((one * other).sum(dim=1) - (back[0] * back[1]).sum(dim=1)).abs().max() < 0.01


def test_nothing_stays_nothing():
    stored = direction_bytes(torch.zeros(2, 3, 4), dim=2)
    assert not stored.any()
    assert torch.equal(directions(stored, dim=2), torch.zeros(2, 3, 4))
