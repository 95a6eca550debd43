import numpy as np
import pytest
import torch
from golden.fixtures import fixture_image, fixture_mask

from persam_hq.personalization import guide, locate, top_points
from persam_hq.predictor import encode, personalize
from persam_hq.training.data.views import View
from persam_hq.training.sam.encoded_views import encode_views, personalize_views


def view(height, width, seed):
    return View(image=fixture_image(height, width, seed), mask=fixture_mask(height, width, seed).astype(np.uint8))


@pytest.fixture
def references():
    return [view(48, 64, 0), view(64, 64, 1)]


@pytest.fixture
def targets():
    return [view(64, 40, 2), view(64, 64, 3)]


def encoded(model, views, *, learns=False):
    return encode_views(model, views, precision=torch.float32, learns=learns)


def test_views_are_encoded_as_the_predictor_encodes_images(square, targets):
    found = encoded(square, targets)
    for row, one in enumerate(targets):
        features = encode(square, one.image)
        assert torch.allclose(found.embedding[row : row + 1], features.image_embedding, atol=1e-5)
        assert torch.allclose(found.early[row : row + 1], features.interm_embeddings[0], atol=1e-5)
        assert found.geometries[row].input == one.mask.shape
    assert found.masks[0, :, :40].equal(torch.from_numpy(targets[0].mask).float())
    assert found.masks[0, :, 40:].sum() == 0
    assert found.padding[0, :, :40].sum() == 0
    assert found.padding[0, :, 40:].min() == 1


def test_a_graph_is_made_only_where_the_encoder_learns(square, targets):
    assert not encoded(square, targets).embedding.requires_grad
    assert encoded(square, targets, learns=True).embedding.requires_grad


def test_half_precision_is_near(square, targets):
    half = encode_views(square, targets, precision=torch.bfloat16, learns=False)
    assert half.embedding.dtype == torch.float32
    whole = encoded(square, targets).embedding
    assert 0 < (half.embedding - whole).norm() < 0.1 * whole.norm()


def test_references_personalize_as_persam_does(square, references, targets):
    found = personalize_views(square, encoded(square, references), encoded(square, targets), masks=references)
    for row, (reference, one) in enumerate(zip(references, targets, strict=True)):
        target = personalize(square, encode(square, reference.image), reference.mask > 0)
        prior = locate(encode(square, one.image), target)
        guidance = guide(prior, target)
        assert torch.allclose(found.attn_sim[row : row + 1], guidance.attn_sim, atol=1e-4)
        assert torch.allclose(found.target_embedding[row : row + 1], guidance.target_embedding, atol=1e-4)
        assert torch.allclose(found.points[row, :1], top_points(prior.similarity))
