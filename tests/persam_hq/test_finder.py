from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins.lite import tiny_lite

from persam_hq.errors import EmptyMaskError, ShapeError
from persam_hq.finder import (
    Finder,
    LiteFinder,
    SamFinder,
    TunedLiteFinder,
    TunedSamFinder,
    build_finder,
    build_tuned_finder,
)
from persam_hq.personalization import fit_scale_weights, scale_loss, top_points
from persam_hq.predictor import decode_scales, encode
from persam_hq.types import PromptSet

SIZE = (100, 150)


@pytest.fixture(scope="module")
def photo():
    image = np.random.default_rng(1).integers(90, 130, (*SIZE, 3)).astype(np.uint8)
    image[30:66, 20:60] = (210, 60, 40)
    mask = np.zeros(SIZE, bool)
    mask[30:66, 20:60] = True
    return image, mask


def check(found):
    assert found.mask.shape == SIZE
    assert found.mask.dtype == bool
    assert 0 <= found.presence <= 1
    assert -1 <= found.similarity <= 1
    assert 0 <= found.predicted_iou <= 1
    assert ("present" if found.is_present else "absent") in repr(found)


def test_lite_finds_by_matching(photo):
    finder: Finder = build_finder(tiny_lite(), *photo)
    assert isinstance(finder, LiteFinder)
    check(finder.find(photo[0]))


def test_an_object_that_is_hardly_there_has_an_empty_mask(photo, monkeypatch):
    finder = build_finder(tiny_lite(), *photo)
    decode = finder.segmenter.decode

    def with_presence(value):
        def decoded(*args, **kwargs):
            answer = decode(*args, **kwargs)
            everywhere = replace(answer.prediction, masks=torch.ones_like(answer.prediction.masks))
            return replace(answer, prediction=everywhere, presence=torch.tensor([value]))

        monkeypatch.setattr(finder.segmenter, "decode", decoded)
        return finder.find(photo[0])

    assert with_presence(0.75).is_present
    gone = with_presence(0.25)
    assert not gone.is_present
    assert gone.presence == 0.25


@pytest.mark.parametrize("name", ["square", "square_plain", "rectangular"])
def test_sam_finds_by_similarity_and_three_passes(request, photo, name):
    finder = build_finder(request.getfixturevalue(name), *photo)
    assert isinstance(finder, SamFinder)
    check(finder.find(photo[0]))


def test_the_reference_has_to_show_the_object(photo):
    image, mask = photo
    with pytest.raises(ShapeError, match="mask is 150x99, its image 150x100"):
        build_finder(tiny_lite(), image, mask[:-1])
    with pytest.raises(EmptyMaskError, match="shows no object; mark the object's pixels"):
        build_finder(tiny_lite(), image, np.zeros_like(mask))


def check_fit(fit, *, solver):
    assert sum(fit.weights) == pytest.approx(1, abs=1e-5)
    assert fit.solver == solver
    assert fit.loss > 0


@pytest.mark.parametrize("solver", ["optimal", "published"])
def test_lite_weighs_its_three_masks_as_fits_the_reference(photo, solver):
    finder = build_tuned_finder(tiny_lite(), *photo, solver=solver)
    assert isinstance(finder, TunedLiteFinder)
    check_fit(finder.fit, solver=solver)
    check(finder.find(photo[0]))


def test_lite_with_weights_decodes_the_weighed_sum(photo):
    finder = build_tuned_finder(tiny_lite(hq=False), *photo)
    segmenter = finder.segmenter
    located = segmenter.locate(finder.reference, segmenter.encode(photo[0]), None)
    scales = segmenter.decode_scales(located)
    decoded = segmenter.decode_weighed(located, torch.tensor([[0.25, 0.5, 0.25]]))
    want = 0.25 * scales[:, 0] + 0.5 * scales[:, 1] + 0.25 * scales[:, 2]
    assert torch.allclose(decoded.prediction.logits, want, atol=1e-3)


@pytest.mark.parametrize("name", ["square", "square_plain", "rectangular"])
def test_sam_weighs_three_masks_and_refines_twice(request, photo, name):
    model = request.getfixturevalue(name)
    finder = build_tuned_finder(model, *photo)
    assert isinstance(finder, TunedSamFinder)
    check_fit(finder.fit, solver="optimal")
    check(finder.find(photo[0]))


def test_sam_is_fitted_at_the_most_similar_point_of_the_reference(square, photo):
    image, mask = photo
    finder = build_tuned_finder(square, image, mask)
    features = encode(square, image)
    cells = torch.nn.functional.normalize(features.image_embedding, dim=1)
    grid = (finder.target.feature[:, None, None] * cells[0]).sum(dim=0)
    frame = torch.nn.functional.interpolate(grid[None, None], scale_factor=4, mode="bilinear")
    similarity = square.postprocess_masks(frame, features.geometry.input, features.geometry.original)[0, 0]
    scales = decode_scales(square, features, PromptSet.from_points(positive=top_points(similarity)))
    want = fit_scale_weights(scales, torch.from_numpy(mask))
    assert torch.allclose(torch.tensor(finder.fit.weights), want, atol=1e-5)
    assert finder.fit.loss == pytest.approx(scale_loss(scales, torch.from_numpy(mask), want), abs=1e-6)


def test_a_tuned_finder_has_to_be_shown_the_object_too(photo):
    with pytest.raises(EmptyMaskError, match="shows no object"):
        build_tuned_finder(tiny_lite(), photo[0], np.zeros(SIZE, bool))
