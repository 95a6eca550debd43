import pytest
import torch
from torch.nn import functional as F

from persam_hq.personalization import attention_similarity, guide
from persam_hq.types import ImageGeometry, LocationPrior, Target


def prior(geometry, similarity, grid=(4, 4)):
    return LocationPrior(grid=torch.zeros(grid), similarity=similarity, geometry=geometry)


def square_prior(seed=0):
    geometry = ImageGeometry(original=(64, 64), input=(64, 64), padded=(64, 64))
    return prior(geometry, torch.rand(64, 64, generator=torch.Generator().manual_seed(seed)))


def test_published_is_the_stretched_map():
    geometry = ImageGeometry(original=(30, 60), input=(32, 64), padded=(64, 64))
    similarity = torch.rand(30, 60, generator=torch.Generator().manual_seed(2))
    standard = (similarity - similarity.mean()) / similarity.std()
    expected = F.interpolate(standard[None, None], size=(4, 4), mode="bilinear").sigmoid().flatten()
    found = attention_similarity(prior(geometry, similarity), alignment="published")
    assert found.shape == (1, 1, 1, 16)
    assert torch.equal(found.flatten(), expected)


def test_where_the_image_fills_its_frame_both_agree():
    published = attention_similarity(square_prior(), alignment="published")
    assert torch.allclose(attention_similarity(square_prior()), published, atol=1e-5)


def test_the_default_lines_up_with_the_image():
    geometry = ImageGeometry(original=(30, 60), input=(32, 64), padded=(64, 64))
    similarity = torch.zeros(30, 60)
    similarity[15:, 30:] = 1  # the lower right quarter of the image: row 1, columns 2 and 3 of the grid
    aligned = attention_similarity(prior(geometry, similarity)).reshape(4, 4)
    assert torch.nonzero(aligned > 0.5).tolist() == [[1, 2], [1, 3]]
    assert (aligned[2:] == 0).all()
    assert (aligned[:2] > 0).all()
    stretched = attention_similarity(prior(geometry, similarity), alignment="published").reshape(4, 4)
    assert torch.nonzero(stretched > 0.5).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_by_hand_in_a_rectangular_frame_without_padding():
    geometry = ImageGeometry(original=(6, 12), input=(48, 96), padded=(48, 96))
    similarity = torch.arange(72.0).reshape(6, 12)
    standard = (similarity - similarity.mean()) / similarity.std()
    found = attention_similarity(prior(geometry, similarity, grid=(3, 6))).reshape(3, 6)
    # A cell spans two by two pixels, and its centre is the middle of the four
    expected = standard.reshape(3, 2, 6, 2).mean(dim=(1, 3)).sigmoid()
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("alignment", ["image", "published"])
def test_a_similarity_that_says_nothing_stays_finite(alignment):
    flat = prior(square_prior().geometry, torch.full((64, 64), 0.25))
    assert torch.equal(attention_similarity(flat, alignment=alignment), torch.full((1, 1, 1, 16), 0.5))


def test_guide_carries_the_target():
    target = Target(feature=torch.ones(8), embedding=torch.ones(1, 1, 8), cells=3)
    guidance = guide(square_prior(), target)
    assert guidance.target_embedding is target.embedding
    assert torch.equal(guidance.attn_sim, attention_similarity(square_prior()))
