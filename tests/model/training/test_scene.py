import numpy as np
import pytest

from persam_hq.training.scene import Layer, Scene, make_scene, pick_segment
from persam_hq.training.sources import Photo, load_label_maps
from persam_hq.training.warps import Bend

SIZE = 32
STILL = {"main": np.eye(3), "back": np.eye(3), "distractor": np.eye(3)}


def no_bend():
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return Bend(x=x, y=y)


def layer(value, x0, x1):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[8:24, x0:x1] = 1
    return Layer(image=np.full((SIZE, SIZE, 3), value, np.uint8), mask=mask)


def scene(**changes):
    parts = {"main": layer(200, 4, 20), "back": layer(50, 0, 0), "distractor": None, "on_top": False, "vanishing": None}
    return Scene(**parts | changes)


def test_a_cut_out_lies_over_its_background():
    image, shown = scene().frame(1, STILL, no_bend())
    assert np.array_equal(shown, layer(200, 4, 20).mask)
    assert image[16, 12].tolist() == [200] * 3
    assert image[16, 28].tolist() == [50] * 3


def test_an_object_that_is_not_cut_out_keeps_its_photo():
    image, shown = scene(back=None).frame(1, STILL, no_bend())
    assert (image == 200).all()
    assert shown.sum() == 16 * 16


def test_a_distractor_behind_hides_nothing_of_the_object():
    image, shown = scene(distractor=layer(120, 12, 28)).frame(1, STILL, no_bend())
    assert shown.sum() == 16 * 16
    assert image[16, 15].tolist() == [200] * 3
    assert image[16, 25, 0] == pytest.approx(120, abs=1)


@pytest.mark.parametrize(("index", "visible"), [(0, 16 * 16), (1, 16 * 8)])
def test_a_distractor_on_top_hides_the_object_but_not_on_the_first_frame(index, visible):
    image, shown = scene(distractor=layer(120, 12, 28), on_top=True).frame(index, STILL, no_bend())
    assert shown.sum() == visible
    assert image[16, 15].tolist() == [200 if index == 0 else 120] * 3


def test_the_object_vanishes_on_one_frame():
    image, shown = scene(vanishing=2).frame(2, STILL, no_bend())
    assert shown.sum() == 0
    assert (image == 50).all()
    assert scene(vanishing=2).frame(1, STILL, no_bend())[1].sum() == 16 * 16


def test_layers_move_each_in_their_own_way():
    shift = np.array([[1.0, 0, 6], [0, 1, 0], [0, 0, 1]])
    _, shown = scene().frame(1, STILL | {"main": shift}, no_bend())
    assert np.array_equal(shown, layer(200, 10, 26).mask)


def photo(labels, *, background):
    return Photo(image=np.zeros((20, 20, 3), np.uint8), labels=(labels,), background=background)


def test_a_segment_is_a_label_or_a_union_of_labels():
    labels = np.zeros((20, 20), np.int32)
    labels[:5, :5], labels[10:14, 10:14] = 3, 8
    allowed = [labels == 3, labels == 8, labels != 0]
    for seed in range(30):
        mask = pick_segment(photo(labels, background=True), np.random.default_rng(seed))
        assert any(np.array_equal(mask, want) for want in allowed)


@pytest.mark.parametrize("side", [0, 1, 19], ids=["empty", "too small", "too large"])
def test_what_is_no_good_target_is_none(side):
    labels = np.zeros((20, 20), np.int32)
    labels[:side, :side] = 1
    assert pick_segment(photo(labels, background=True), np.random.default_rng(0)) is None


def test_scenes_come_in_all_kinds(photos_root):
    photos = load_label_maps(photos_root, background=True)
    mask = (photos[0].labels[0] == 1).astype(np.uint8)
    made = [
        make_scene(photos[0], mask, others=photos, length=4, size=SIZE, rng=np.random.default_rng(seed))
        for seed in range(40)
    ]
    assert {scene.back is None for scene in made} == {True, False}
    assert {scene.distractor is None for scene in made} == {True, False}
    assert {scene.on_top for scene in made} == {True, False}
    assert all(scene.back is not None for scene in made if scene.vanishing is not None)
    assert {scene.vanishing for scene in made} <= {None, 1, 2, 3}
