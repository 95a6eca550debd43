"""First-frame masks in every form that users have them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import InputError
from persamhq_video.io import davis_palette, read_first_masks, read_label_png, write_label_png
from persamhq_video.io.label_maps import LabelMap

SIZE = (48, 64)


def boxes(*values, dtype=np.uint8):
    """(48, 64) with a 10x10 box of each value."""
    labels = np.zeros(SIZE, dtype=dtype)
    for i, value in enumerate(values):
        labels[5:15, 3 + 12 * i : 13 + 12 * i] = value
    return labels


def palette_image(*values):
    picture = Image.fromarray(boxes(*values))
    picture.putpalette(davis_palette().tobytes())
    return picture


def coloured(*colours, alpha=None):
    image = davis_palette()[boxes(*range(1, len(colours) + 1))] * 0
    for i, colour in enumerate(colours, start=1):
        image[boxes(*range(1, len(colours) + 1)) == i] = colour
    if alpha is None:
        return Image.fromarray(image)
    return Image.fromarray(np.dstack([image, alpha.astype(np.uint8)]))


def grey_alpha(level, alpha):
    return Image.merge("LA", [Image.fromarray(np.full(SIZE, level, np.uint8)), Image.fromarray(alpha)])


TABLE = {
    "palette": (lambda: palette_image(1, 2, 7), {"1": 1, "2": 2, "7": 7}),
    "palette, one object of index 3": (lambda: palette_image(3), {"3": 3}),
    "grey 0/255": (lambda: Image.fromarray(boxes(255)), {"255": 1}),
    "grey 0/1": (lambda: Image.fromarray(boxes(1)), {"1": 1}),
    "grey levels": (lambda: Image.fromarray(boxes(50, 100, 255)), {"50": 50, "100": 100, "255": 255}),
    "one bit": (lambda: Image.fromarray(boxes(255)).convert("1"), {"1": 1}),
    "white as colour": (lambda: coloured((255, 255, 255)), {"255": 1}),
    "grey as colour": (lambda: coloured((20, 20, 20), (90, 90, 90)), {"20": 20, "90": 90}),
    "colours": (lambda: coloured((0, 128, 0), (128, 0, 0)), {"#008000": 1, "#800000": 2}),
    "white among colours": (lambda: coloured((255, 255, 255), (128, 0, 0)), {"#800000": 1, "#ffffff": 2}),
    "sixteen bits, small": (lambda: Image.fromarray(boxes(2, 200, dtype=np.uint16)), {"2": 2, "200": 200}),
    "sixteen bits, large": (lambda: Image.fromarray(boxes(1000, 3, dtype=np.uint16)), {"3": 1, "1000": 2}),
    "sixteen bits, white": (lambda: Image.fromarray(boxes(65535, dtype=np.uint16)), {"65535": 1}),
    "thirty-two bits": (lambda: Image.fromarray(boxes(70000, dtype=np.int32)), {"70000": 1}),
    "transparent background": (
        lambda: coloured((0, 128, 0), (128, 0, 0), alpha=np.where(boxes(1) > 0, 255, 0)),
        {"#008000": 1},
    ),
    "grey with alpha": (lambda: grey_alpha(255, boxes(255)), {"255": 1}),
    "every pixel is the object": (lambda: Image.new("L", SIZE[::-1], 255), {"255": 1}),
}


def save(picture, path):
    picture.save(path)
    return path


@pytest.mark.parametrize("kind", TABLE)
def test_distinct_values_are_objects(kind, tmp_path):
    draw, mapping = TABLE[kind]
    suffix = ".tif" if kind == "thirty-two bits" else ".png"
    found = read_first_masks(save(draw(), tmp_path / f"mask{suffix}"), size=SIZE)
    assert found.mapping == mapping
    assert found.ids == tuple(sorted(mapping.values()))
    assert found.labels.shape == SIZE
    assert found.labels.dtype == np.uint8
    assert set(np.unique(found.labels)) - {0} == set(found.ids)


def test_each_object_keeps_its_place(tmp_path):
    found = read_first_masks(save(coloured((0, 128, 0), (128, 0, 0)), tmp_path / "mask.png"), size=SIZE)
    np.testing.assert_array_equal(found.labels, boxes(1, 2))


def test_many_tiny_objects_numbered_without_a_gap_are_taken_at_their_word(tmp_path):
    labels = np.zeros(SIZE, np.uint8)
    labels[::4, ::4].flat[:100] = range(1, 101)
    assert len(read_first_masks(save(Image.fromarray(labels), tmp_path / "mask.png"), size=SIZE).ids) == 100


def test_thin_lines_with_gaps_in_their_numbers_are_objects(tmp_path):
    labels = np.zeros(SIZE, np.uint8)
    labels[10], labels[20], labels[30] = 40, 80, 255
    assert read_first_masks(save(Image.fromarray(labels), tmp_path / "mask.png"), size=SIZE).ids == (40, 80, 255)


def test_a_plain_jpeg_is_read(tmp_path):
    white = Image.new("L", SIZE[::-1], 255)
    assert read_first_masks(save(white, tmp_path / "mask.jpg"), size=SIZE).ids == (1,)


def soft_disc():
    disc = cv2.circle(np.zeros((480, 640), np.uint8), (300, 200), 100, 255, -1)
    return Image.fromarray(cv2.resize(disc, SIZE[::-1], interpolation=cv2.INTER_AREA))


def blurred_disc():
    disc = cv2.circle(np.zeros(SIZE, np.uint8), (30, 24), 15, 255, -1)
    blurred = cv2.GaussianBlur(disc, (0, 0), 4)
    return Image.fromarray(np.unique(blurred, return_inverse=True)[1].reshape(SIZE).astype(np.uint8))


def half_edge():
    labels = np.zeros(SIZE, np.uint8)
    labels[10:30, 10:40], labels[11:29, 11:39] = 128, 255
    return Image.fromarray(labels)


def noise():
    """Every value from 1 to 255 on half of the pixels, as the samples of a damaged file are."""
    random = np.random.default_rng(0)
    labels = np.where(random.random(SIZE) < 0.5, random.integers(1, 256, SIZE), 0)
    labels.ravel()[:255] = np.arange(1, 256)
    return Image.fromarray(labels.astype(np.uint8))


def test_dots_and_pairs_of_pixels_are_objects(tmp_path):
    labels = np.zeros(SIZE, np.uint8)
    for number in range(20):
        labels[4 + 2 * (number // 10), 5 + 4 * (number % 10) : 6 + number % 2 + 4 * (number % 10)] = number + 1
    assert len(read_first_masks(save(Image.fromarray(labels), tmp_path / "m.png"), size=SIZE).ids) == 20


@pytest.mark.parametrize(
    ("draw", "name", "message"),
    [
        (noise, "m.png", r"looks like a lossy or anti-aliased mask"),
        (lambda: Image.new("L", (64, 47), 255), "m.png", r"the mask is 64x47 but the frame is 64x48"),
        (lambda: Image.new("L", (48, 64), 255), "m.png", r"the mask is 48x64 but the frame is 64x48"),
        (lambda: Image.fromarray(boxes()), "m.png", r"the mask is empty"),
        (lambda: Image.new("RGBA", (64, 48), (255, 0, 0, 0)), "m.png", r"the mask is empty"),
        (lambda: Image.fromarray(boxes(-3, dtype=np.int32)), "m.tif", r"got the negative value -3"),
        (lambda: Image.fromarray(boxes(0.5, dtype=np.float32)), "m.tif", r"a mask of fractions"),
        (lambda: Image.fromarray(boxes(255)), "m.jpg", r"looks like a lossy or anti-aliased mask; save it as PNG"),
        (soft_disc, "m.png", r"looks like a lossy or anti-aliased mask"),
        (half_edge, "m.png", r"looks like a lossy or anti-aliased mask"),
        # A gradient has every value from 1 up, as a careful numbering of objects has.
        (blurred_disc, "m.png", r"looks like a lossy or anti-aliased mask"),
        (
            lambda: Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(SIZE) // 4),
            "m.png",
            r"got 767 objects, expected at most 255|looks like a lossy",
        ),
    ],
)
def test_masks_that_cannot_be_meant_are_refused(draw, name, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        read_first_masks(save(draw(), tmp_path / name), size=SIZE)
    assert "\n" not in str(caught.value)


def test_too_many_objects_are_refused(tmp_path):
    labels = np.kron(np.arange(300, dtype=np.uint16).reshape(15, 20), np.ones((3, 3), np.uint16))
    path = save(Image.fromarray(labels), tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"got 299 objects, expected at most 255"):
        read_first_masks(path, size=labels.shape)


@pytest.mark.parametrize(
    ("write", "message"),
    [(lambda p: None, r"no such file"), (lambda p: p.write_text("words"), r"not an image that can be read")],
)
def test_what_is_no_image_is_refused(write, message, tmp_path):
    write(tmp_path / "mask.png")
    with pytest.raises(InputError, match=message):
        read_first_masks(tmp_path / "mask.png", size=SIZE)


def test_a_label_map_checks_its_shape():
    with pytest.raises(ValueError, match=r"a label map is \(H, W\) uint8"):
        LabelMap(labels=np.zeros((2, 2, 3), np.uint8), ids=(), mapping={})


def test_label_pngs_hold_ids_and_the_davis_palette(tmp_path):
    labels = boxes(1, 2, 255)
    write_label_png(tmp_path / "a" / "00000.png", labels)
    write_label_png(tmp_path / "b.png", labels)
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:15] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128]
    np.testing.assert_array_equal(read_label_png(tmp_path / "a" / "00000.png"), labels)
    assert (tmp_path / "a" / "00000.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["00000.png", "a", "b.png"]


def test_only_label_maps_become_label_pngs(tmp_path):
    with pytest.raises(ValueError, match=r"got \(48, 64\) int64"):
        write_label_png(tmp_path / "a.png", boxes(1, dtype=np.int64))
    coloured((1, 2, 3)).save(tmp_path / "colour.png")
    with pytest.raises(InputError, match=r"mode RGB, expected a palette PNG"):
        read_label_png(tmp_path / "colour.png")


def test_the_palette_is_that_of_pascal_voc():
    palette = davis_palette()
    expected = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 255: (224, 224, 192)}
    assert {i: tuple(palette[i].tolist()) for i in expected} == expected
    assert len({tuple(colour) for colour in palette.tolist()}) == 256
