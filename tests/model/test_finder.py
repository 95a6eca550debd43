from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_in_lite import tiny_lite

from persam_hq.errors import EmptyMaskError, ShapeError
from persam_hq.finder import Finder, LiteFinder, SamFinder, build_finder

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
