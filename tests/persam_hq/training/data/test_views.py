import numpy as np
import pytest
from golden.fixtures import fixture_image, fixture_mask

from persam_hq.training.data.pair_sources import AnnotatedImage
from persam_hq.training.data.views import View, draw_view

SIDE = 64


def annotated(height=60, width=90):
    return AnnotatedImage(image=fixture_image(height, width), mask=fixture_mask(height, width).astype(np.uint8))


def views(count=40, **size):
    return [draw_view(annotated(**size), np.random.default_rng(seed), side=SIDE) for seed in range(count)]


def test_views_are_whole_images_or_crops_and_as_large_as_the_input():
    sizes = {view.image.shape[:2] for view in views()}
    assert sizes == {(43, 64), (64, 64)}
    assert {view.image.shape[:2] for view in views(height=90, width=60)} == {(64, 43), (64, 64)}


def test_image_and_mask_go_together():
    for view in views():
        assert view.mask.shape == view.image.shape[:2]
        assert (view.image.dtype, view.mask.dtype) == (np.uint8, np.uint8)
        assert set(np.unique(view.mask)) <= {0, 1}
        # The ellipse is bright and reddish, whatever the colours became
        inside, outside = view.image[view.mask > 0].mean(axis=0), view.image[view.mask == 0].mean(axis=0)
        assert (inside - outside)[0] > 0


def test_whole_images_are_mirrored_in_half_of_the_draws():
    wholes = [view for view in views(80) if view.image.shape[0] == 43]
    left = [np.nonzero(view.mask.any(axis=0))[0].mean() < 31.5 for view in wholes]
    assert 0.25 < np.mean(left) < 0.75


@pytest.mark.parametrize(("pixels", "usable"), [(0, False), (1, True)])
def test_a_view_without_its_object_is_of_no_use(pixels, usable):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[0, :pixels] = 1
    assert View(image=np.zeros((SIDE, SIDE, 3), np.uint8), mask=mask).usable is usable
