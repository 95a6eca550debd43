import cv2
import numpy as np
import pytest

from persam_hq.training.data.datasets import Photo, load_label_maps
from persam_hq.training.data.scene import (
    Layer,
    Scene,
    Surroundings,
    look_alike,
    make_scene,
    make_surroundings,
    photo_background,
    pick_segment,
    recompose,
)
from persam_hq.training.data.warps import PADDING, Deformation

SIZE = 32
STILL = {"main": np.eye(3), "back": np.eye(3), "distractor": np.eye(3)}


def no_bend():
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return Deformation(x=x, y=y)


def layer(value, x0, x1):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[8:24, x0:x1] = 1
    return Layer(image=np.full((SIZE, SIZE, 3), value, np.uint8), mask=mask)


def scene(**changes):
    parts = {"main": layer(200, 4, 20), "back": layer(50, 0, 0), "distractor": None, "on_top": False}
    return Scene(**parts | changes)


def test_a_cut_out_lies_over_its_background():
    image, shown, _ = scene().frame(1, STILL, no_bend())
    assert np.array_equal(shown, layer(200, 4, 20).mask)
    assert image[16, 12].tolist() == [200] * 3
    assert image[16, 28].tolist() == [50] * 3


def test_an_object_that_is_not_cut_out_keeps_its_photo():
    image, shown, _ = scene(back=None).frame(1, STILL, no_bend())
    assert (image == 200).all()
    assert shown.sum() == 16 * 16


def test_a_distractor_behind_hides_nothing_of_the_object():
    image, shown, _ = scene(distractor=layer(120, 12, 28)).frame(1, STILL, no_bend())
    assert shown.sum() == 16 * 16
    assert image[16, 15].tolist() == [200] * 3
    assert image[16, 25, 0] == pytest.approx(120, abs=1)


@pytest.mark.parametrize(("index", "visible"), [(0, 16 * 16), (1, 16 * 8)])
def test_a_distractor_on_top_hides_the_object_but_not_on_the_first_frame(index, visible):
    image, shown, _ = scene(distractor=layer(120, 12, 28), on_top=True).frame(index, STILL, no_bend())
    assert shown.sum() == visible
    assert image[16, 15].tolist() == [200 if index == 0 else 120] * 3


def test_the_object_vanishes_on_one_frame():
    image, shown, _ = scene(vanishing=frozenset({2})).frame(2, STILL, no_bend())
    assert shown.sum() == 0
    assert (image == 50).all()
    assert scene(vanishing=frozenset({2})).frame(1, STILL, no_bend())[1].sum() == 16 * 16


def test_layers_move_each_in_their_own_way():
    shift = np.array([[1.0, 0, 6], [0, 1, 0], [0, 0, 1]])
    _, shown, _ = scene().frame(1, STILL | {"main": shift}, no_bend())
    assert np.array_equal(shown, layer(200, 10, 26).mask)


def segment(y0, y1):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y0:y1, 4:28] = 1
    return mask


@pytest.mark.parametrize(
    ("changes", "first", "later"),
    [
        pytest.param({}, 0, 0, id="alone"),
        pytest.param({"distractor": layer(120, 12, 28)}, 16 * 8, 16 * 8, id="what of the distractor shows behind"),
        pytest.param({"distractor": layer(120, 12, 28), "on_top": True}, 0, 16 * 16, id="all of it in front"),
        pytest.param({"back": None, "beside": segment(26, 32)}, 6 * 24, 6 * 24, id="another segment of the photo"),
        pytest.param({"back": None, "beside": segment(20, 32)}, 12 * 24 - 4 * 16, 12 * 24 - 4 * 16, id="without it"),
    ],
)
def test_what_lies_beside_the_object(changes, first, later):
    for index, size in ((0, first), (1, later)):
        _, shown, beside = scene(**changes).frame(index, STILL, no_bend())
        assert beside.sum() == size
        assert not (shown & beside).any()


def test_a_layer_is_cut_from_its_image_once_whatever_moves_it():
    # Twice as large in the end: the same as the image drawn once at that size, and not an enlarged crop of it
    fine = np.random.default_rng(0).integers(0, 255, (4 * SIZE, 4 * SIZE, 3)).astype(np.uint8)
    base = np.array([[0.25, 0, 0], [0, 0.25, 0]])
    part = Layer(image=fine, mask=np.ones((4 * SIZE, 4 * SIZE), np.uint8), base=base)
    shown = part.moved(np.diag([4.0, 4.0, 1.0]), no_bend()).image.astype(int)
    assert np.abs(shown[2:-2, 2:-2] - fine[2 : SIZE - 2, 2 : SIZE - 2]).mean() < 2


def test_beyond_its_photo_an_object_is_not_mirrored():
    shift = np.array([[1.0, 0, 16], [0, 1, 0], [0, 0, 1]])
    image, shown, _ = scene(back=None).frame(1, STILL | {"main": shift}, no_bend())
    assert (image[:, :15] == PADDING).all()
    assert not shown[:, :15].any()


def test_a_look_alike_is_the_object_of_another_frame():
    image = np.full((60, 80, 3), (200, 40, 40), np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    assert look_alike(image, mask, size=SIZE, rng=np.random.default_rng(0)) is None
    mask[10:50, 20:60] = 1
    shares = []
    for seed in range(12):
        copy = look_alike(image, mask, size=SIZE, rng=np.random.default_rng(seed))
        colour = copy.image[copy.mask == 1].mean(axis=0)
        assert colour[0] > colour[1:].max() + 20  # still red, whatever became of the colours
        shares.append(copy.mask.mean())
    assert 0.01 < min(shares) < max(shares) < 0.3


def photo(labels, *, background, **named):
    return Photo(image=np.zeros((20, 20, 3), np.uint8), labels=(labels,), background=background, **named)


def panoptic():
    """Two things on the left and in the middle, grass below, and a crowd."""
    labels = np.full((20, 20), 9, np.uint8)
    labels[:8, :5], labels[:8, 8:14], labels[:8, 15:] = 3, 4, 255
    return labels


def test_of_a_panoptic_photo_mostly_one_thing_is_tracked_and_never_a_crowd():
    labels, picked = panoptic(), {3: 0, 4: 0, 9: 0, 255: 0}
    given = photo(labels, background=False, things={3: "dog", 4: "dog"}, unlabelled=255)
    for seed in range(120):
        mask = pick_segment(given, np.random.default_rng(seed))
        if mask is not None:
            assert not mask[labels == 255].any()
            for label in picked:
                picked[label] += bool((mask[labels == label] == 1).all()) and int(mask.sum()) == int(
                    (labels == label).sum()
                )
    assert min(picked[3], picked[4]) > 30
    assert picked[255] == 0
    assert picked[3] + picked[4] > 80


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
    assert all(scene.back is not None for scene in made if scene.vanishing)
    gone = {scene.vanishing for scene in made} - {frozenset()}
    assert all(frames <= {1, 2, 3} for frames in gone)
    assert {len(frames) > 1 for frames in gone} == {True, False}  # for one frame, or several


LENGTH = 5


def video():
    """A bright square that moves across a dim frame by two pixels a frame."""
    frames, masks = np.full((LENGTH, SIZE, SIZE, 3), 20, np.uint8), np.zeros((LENGTH, SIZE, SIZE), np.uint8)
    for index in range(LENGTH):
        masks[index, 8:20, 4 + 2 * index : 16 + 2 * index] = 1
        frames[index][masks[index] == 1] = 220
    return frames, masks


def recomposed(seed=0, *, back=None, distractor=None, on_top=False):
    surroundings = Surroundings(back=back, distractor=distractor, on_top=on_top)
    return recompose(*video(), surroundings, np.random.default_rng(seed))


def inner(mask, steps=3):
    """The mask without its blurred border."""
    return cv2.erode(mask, np.ones((2 * steps + 1, 2 * steps + 1), np.uint8)).astype(bool)


def assert_colour(pixels, value):
    """Of that colour; blending may round down."""
    assert np.abs(pixels.astype(int) - value).max(initial=0) <= 1


def test_an_object_comes_before_another_background():
    images, shown, _ = recomposed(back=layer(90, 0, 0))
    _, masks = video()
    assert np.array_equal(shown, masks)
    for image, mask in zip(images, masks, strict=True):
        assert_colour(image[inner(mask)], 220)
        assert_colour(image[inner(1 - mask)], 90)


def test_a_distractor_behind_the_object_leaves_the_rest_of_the_video():
    images, shown, _ = recomposed(distractor=layer(120, 12, 30))
    frames, masks = video()
    assert np.array_equal(shown, masks)
    assert all((image[inner(mask)] == 220).all() for image, mask in zip(images, masks, strict=True))
    values = set(np.unique(images[0][inner(1 - masks[0])]).tolist())
    assert {20, 120} <= values  # the old background, and the distractor before it
    assert not np.array_equal(images, frames)


def test_a_distractor_on_top_hides_the_object_from_the_second_frame_on():
    hidden = 0
    for seed in range(6):
        images, shown, _ = recomposed(seed, back=layer(90, 0, 0), distractor=layer(120, 6, 14), on_top=True)
        _, masks = video()
        assert np.array_equal(shown[0], masks[0])
        assert (images[0][inner(masks[0])] == 220).all()
        assert not (shown & (1 - masks)).any()
        for image, visible, mask in zip(images[1:], shown[1:], masks[1:], strict=True):
            gone = inner(mask - visible, steps=2)
            hidden += int(gone.sum())
            assert_colour(image[gone], 120)
            assert_colour(image[inner(visible, steps=2)], 220)
    assert hidden > 20


def test_surroundings_move_on_their_own_and_begin_where_they_were_made():
    texture = np.random.default_rng(0).integers(0, 200, (SIZE, SIZE, 3)).astype(np.uint8)
    back = Layer(image=texture, mask=np.zeros((SIZE, SIZE), np.uint8))
    images, shown, _ = recomposed(back=back)
    outside = [inner(1 - mask) for mask in shown]
    assert np.array_equal(images[0][outside[0]], texture[outside[0]])
    for before, after, a, b in zip(images[:-1], images[1:], outside[:-1], outside[1:], strict=True):
        assert not np.array_equal(before[a & b], after[a & b])


def test_recomposing_is_decided_by_the_generator_and_changes_nothing_it_was_given():
    frames, masks = video()
    surroundings = Surroundings(back=layer(90, 0, 0), distractor=layer(120, 6, 14), on_top=True)
    made = [recompose(frames, masks, surroundings, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(made[0][0], made[1][0])
    assert np.array_equal(made[0][1], made[1][1])
    assert not np.array_equal(made[0][0], made[2][0])
    assert np.array_equal(frames, video()[0])
    assert np.array_equal(masks, video()[1])


def test_surroundings_come_in_all_kinds(photos_root):
    photos = load_label_maps(photos_root, background=True)
    made = [make_surroundings(photos, size=SIZE, rng=np.random.default_rng(seed)) for seed in range(60)]
    kinds = {(each.back is not None, each.distractor is not None) for each in made}
    assert kinds == {(True, False), (True, True), (False, True)}  # never neither
    assert {each.on_top for each in made} == {True, False}
    assert sum(each.back is not None for each in made) / 60 == pytest.approx(0.65, abs=0.15)
    for each in made:
        for one in filter(None, (each.back, each.distractor)):
            assert one.image.shape == (SIZE, SIZE, 3)
            assert one.mask.shape == (SIZE, SIZE)
        assert each.back is None or not each.back.mask.any()
        assert each.distractor is None or each.distractor.mask.any()


def test_a_background_is_some_part_of_some_photo():
    green, blue = (np.full((40, 60, 3), colour, np.uint8) for colour in ((10, 200, 10), (10, 10, 200)))
    photos = [Photo(image=image, labels=(np.zeros((40, 60), np.uint8),), background=True) for image in (green, blue)]
    made = [photo_background(photos, SIZE, np.random.default_rng(seed)) for seed in range(20)]
    assert all(image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8 for image in made)
    assert {tuple(image[16, 16]) for image in made} == {(10, 200, 10), (10, 10, 200)}
    # Wherever it is taken from, at most a third of the crop lies beyond the photo
    assert all((image.max(axis=-1) > 190).mean() > 0.65 for image in made)


def test_a_distractor_moves_with_the_camera():
    surroundings = Surroundings(back=None, distractor=layer(120, 12, 30), on_top=True)
    zoom = [np.eye(3), *([np.diag([0.5, 0.5, 1.0])] * (LENGTH - 1))]
    still, zoomed = (
        recompose(*video(), surroundings, np.random.default_rng(0), camera=camera)[2] for camera in (None, zoom)
    )
    assert np.array_equal(still[0], zoomed[0])
    assert all(0.1 < far.sum() / near.sum() < 0.4 for near, far in zip(still[1:], zoomed[1:], strict=True))
