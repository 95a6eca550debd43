"""First-frame masks mean what a picture viewer shows: colours, transparency and orientation before stored numbers."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from persamhq_video.errors import InputError
from persamhq_video.io import davis_palette, label_map_of, read_first_masks

SIZE = (48, 64)
WHITE, BLACK, RED, GREEN, GREY = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (128, 128, 128)

SHAPE = np.zeros(SIZE, np.uint8)
SHAPE[10:30, 15:45] = 1
TWO = SHAPE.copy()
TWO[35:45, 5:25] = 2
RING = cv2.dilate(SHAPE, np.ones((3, 3), np.uint8)) - SHAPE


def palette(indices, *colours, transparent=None):
    picture = Image.fromarray(np.asarray(indices, np.uint8))
    picture.putpalette(np.array(colours, np.uint8).tobytes())
    if transparent is not None:
        picture.info["transparency"] = transparent
    return picture


def davis(indices):
    return palette(indices, *davis_palette().tolist())


def rgb(classes, *colours):
    return Image.fromarray(np.array(colours, np.uint8)[classes])


def with_alpha(colour, alpha):
    layer = Image.new("RGB", SIZE[::-1], colour)
    layer.putalpha(Image.fromarray(alpha))
    return layer


def with_key(picture, key):
    picture.info["transparency"] = key
    return picture


def feathered():
    """Alpha that falls from the middle of the shape's edge to both sides."""
    return cv2.GaussianBlur(SHAPE * 255, (0, 0), 2)


FEATHERED = np.where(feathered() >= 128, 1, 0)


def read(picture, tmp_path, name="mask.png", **options):
    key = {"transparency": picture.info["transparency"]} if "transparency" in picture.info else {}
    picture.save(tmp_path / name, **key, **options)
    return read_first_masks(tmp_path / name, size=SIZE)


# A picture, and the label map that it means
SHOWN = {
    # The background is what the colours say
    "white before black": (lambda: palette(1 - SHAPE, WHITE, BLACK), SHAPE),
    "black before white": (lambda: palette(SHAPE, BLACK, WHITE), SHAPE),
    "black object on white paper": (lambda: palette(SHAPE, WHITE, BLACK), SHAPE),
    "red object on white paper": (lambda: palette(SHAPE, WHITE, RED), SHAPE),
    "red before black": (lambda: palette(1 - SHAPE, RED, BLACK), SHAPE),
    "two colours and black in the middle": (lambda: palette(np.array([1, 0, 2])[TWO], RED, BLACK, GREEN), TWO),
    "black at the end": (lambda: palette(np.array([2, 0, 1])[TWO], RED, GREEN, BLACK), TWO),
    "nearly black": (lambda: palette(1 - SHAPE, (253, 254, 253), (2, 1, 2)), SHAPE),
    "index 0 not in use": (lambda: palette(2 - SHAPE, RED, WHITE, BLACK), SHAPE),
    "one bit, white is 1": (lambda: Image.fromarray(SHAPE * 255).convert("1"), SHAPE),
    # Genuine ids
    "ids of DAVIS": (lambda: davis(TWO), TWO),
    "ids 3, 200 and 255": (lambda: davis(np.array([0, 3, 200])[TWO] + 255 * (np.arange(64) > 60)), None),
    "greys as ids in a palette": (lambda: palette(TWO, BLACK, GREY, WHITE), TWO),
    "a palette without colours": (lambda: palette(TWO, BLACK, BLACK, BLACK), TWO),
    "a grey ramp": (lambda: palette(TWO * 100, *[(i, i, i) for i in range(256)]), TWO * 100),
    "near ids in grey": (lambda: Image.fromarray(TWO), TWO),
    "254 and 255 as colours of DAVIS": (lambda: davis(np.array([0, 254, 255])[TWO]), np.array([0, 254, 255])[TWO]),
    # The whole frame
    "every pixel white": (lambda: Image.new("L", SIZE[::-1], 255), np.ones(SIZE)),
    "every pixel of index 7": (lambda: davis(np.full(SIZE, 7)), np.full(SIZE, 7)),
    "two halves of objects": (lambda: davis(np.where(np.arange(64) < 30, 1, 2) + np.zeros((48, 1), int)), None),
    # Transparency
    "transparent index": (lambda: palette(1 - SHAPE, RED, GREEN, transparent=1), SHAPE),
    "transparent index of several": (
        lambda: palette(np.array([1, 0, 2])[TWO], RED, WHITE, GREEN, transparent=b"\xff\x00\xff"),
        TWO,
    ),
    "black object, the rest transparent": (lambda: palette(1 - SHAPE, BLACK, WHITE, transparent=1), SHAPE),
    "alpha of index": (lambda: palette(SHAPE, BLACK, RED, transparent=b"\x00\xff"), SHAPE),
    "a colour that stands for transparent": (lambda: with_key(rgb(SHAPE, GREEN, RED), GREEN), SHAPE),
    "a grey that stands for transparent": (lambda: with_key(Image.fromarray(90 + SHAPE * 60), 90), SHAPE * 150),
    "black shape in alpha": (lambda: with_alpha(BLACK, SHAPE * 255), SHAPE),
    "white shape in alpha": (lambda: with_alpha(WHITE, SHAPE * 255), SHAPE),
    "feathered alpha, white": (lambda: with_alpha(WHITE, feathered()), FEATHERED),
    "feathered alpha, red": (lambda: with_alpha(RED, feathered()), FEATHERED),
    "feathered alpha, black": (lambda: with_alpha(BLACK, feathered()), FEATHERED),
    "feathered alpha in a palette": (
        lambda: palette(feathered(), *[WHITE] * 256, transparent=bytes(range(256))),
        FEATHERED,
    ),
    "half-transparent objects": (lambda: rgb(TWO, (0, 0, 0, 0), (255, 0, 0, 100), (0, 255, 0, 255)), None),
}
BY_COLOUR = {"half-transparent objects": np.array([0, 2, 1])[TWO]}  # #00ff00 comes before #ff0000


@pytest.mark.parametrize("kind", SHOWN)
def test_a_mask_means_what_a_viewer_shows(kind, tmp_path):
    draw, labels = SHOWN[kind]
    picture = draw()
    labels = BY_COLOUR.get(kind, np.asarray(picture) if labels is None else labels)
    np.testing.assert_array_equal(read(picture, tmp_path).labels, labels)
    # In memory as in a file
    np.testing.assert_array_equal(label_map_of(picture, size=SIZE).labels, labels)


@pytest.mark.parametrize("name", ["mask.tif", "mask.png", "mask.webp", "mask.jpg"])
@pytest.mark.parametrize(("orientation", "turn"), [(3, lambda a: a[::-1, ::-1]), (6, np.rot90), (2, np.fliplr)])
def test_the_orientation_is_applied(name, orientation, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shape = np.zeros(SIZE, np.uint8)
    shape[:16, :32] = 255  # of whole JPEG blocks
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(name[5:], {})
    found = read(Image.fromarray(np.ascontiguousarray(turn(shape))), tmp_path, name, exif=exif, **options)
    np.testing.assert_array_equal(found.labels, shape // 255)


def test_a_tiff_whose_lowest_value_is_white_is_inverted(tmp_path):
    # Pillow turns 8 bits over as it writes them, and 16 bits not
    stored = {"8 bits": SHAPE * 255, "16 bits": np.where(SHAPE > 0, 0, 2**16 - 1).astype(np.uint16)}
    for samples in stored.values():
        Image.fromarray(samples).save(tmp_path / "mask.tif", tiffinfo={262: 0})
        found = read_first_masks(tmp_path / "mask.tif", size=SIZE)
        np.testing.assert_array_equal(found.labels, SHAPE)


def soft(image):
    """An object whose edge is two pixels of mixed values."""
    return cv2.blur(image, (3, 3))


def quantised(colour):
    edge = Image.fromarray(soft((SHAPE[..., None] * np.array(colour)).astype(np.uint8)))
    return edge.quantize(8, dither=Image.Dither.NONE)


def near_white():
    picture = SHAPE * 255
    picture[12:28:2, 17:43:3] = 254
    return Image.fromarray(picture)


def lossy_greys():
    picture = np.where(SHAPE > 0, 253 + TWO % 3, TWO % 2).astype(np.uint8)
    picture[10:20] += (picture[10:20] > 100).astype(np.uint8)
    return Image.fromarray(picture)


def void_band(size=(90, 120)):
    """Two objects with the band that belongs to nobody, 5 pixels wide and half of it inside."""
    labels = np.zeros(size, np.uint8)
    labels[20:60, 10:60], labels[30:70, 80:110] = 15, 3
    band = cv2.dilate(labels, np.ones((5, 5), np.uint8))
    labels = cv2.erode(labels, np.ones((5, 5), np.uint8))
    return davis(np.where((band > 0) & (labels == 0), 255, labels))


def on_border(inner, outer):
    return np.where(SHAPE > 0, inner, outer).astype(np.uint8)


REFUSED = {
    "anti-aliased palette, white": (lambda: quantised(WHITE), "is only an edge|anti-aliased"),
    "anti-aliased palette, red": (lambda: quantised(RED), "is only an edge|anti-aliased"),
    "one soft edge among solid ids": (lambda: Image.fromarray(TWO * 100 + RING * 50), "value 50 is only an edge"),
    "a rim of 255": (lambda: davis(np.where(RING > 0, 255, TWO)), "value 255 is only a rim"),
    "a rim of 255 in grey": (lambda: Image.fromarray(np.where(RING > 0, 255, TWO)), "value 255 is only a rim"),
    "an outline of another id": (lambda: davis(SHAPE + 2 * RING), "value 2 is only a rim"),
    "the void band of PASCAL VOC": (void_band, "value 255 is only a rim"),
    "254 among 255": (near_white, "2 values, looks like a lossy"),
    "250 and 255 side by side": (
        lambda: Image.fromarray(((TWO > 0) * 245 + 5 * TWO).astype(np.uint8)),
        "looks like a lossy",
    ),
    "two reds": (
        lambda: rgb(TWO * (np.indices(SIZE).sum(0) % 3 > 0) + (SHAPE > 0), BLACK, RED, (253, 1, 0), GREEN),
        "speckle",
    ),
    "two whites as colours": (lambda: rgb(TWO, BLACK, WHITE, (255, 255, 253)), "looks like a lossy"),
    "lossy greys": (lossy_greys, "looks like a lossy"),
    "no background, grey": (lambda: Image.fromarray(on_border(1, 2)), "value 2 covers the border; paint"),
    "no background, colours": (lambda: rgb(SHAPE, WHITE, RED), "value #ffffff covers the border"),
    "no background, palette": (lambda: palette(1 - SHAPE, RED, WHITE), "ambiguous what is background; make it black"),
    "two pictures": (None, "the mask holds 3 pictures"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_ambiguous_is_refused(kind, tmp_path):
    draw, message = REFUSED[kind]
    if draw is None:
        pages = [Image.fromarray(TWO * value) for value in (1, 2, 3)]
        pages[0].save(tmp_path / "mask.tif", save_all=True, append_images=pages[1:])
        with pytest.raises(InputError, match=message):
            read_first_masks(tmp_path / "mask.tif", size=SIZE)
        return
    picture = draw()
    picture.save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=message) as caught:
        read_first_masks(tmp_path / "mask.png", size=picture.size[::-1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("draw", "note"),
    [
        (lambda: Image.fromarray(on_border(0, 255)), r"object 1 covers nearly the whole border; .* invert the mask"),
        (lambda: palette(1 - SHAPE, RED, BLACK), r"index 0 of the palette has a colour"),
        (lambda: palette(TWO, BLACK, BLACK, RED), r"shown as black like the background: 1"),
        (lambda: rgb(TWO, (0, 0, 0, 0), (255, 0, 0, 255), (0, 0, 0, 255)), r"black counts as background beside"),
    ],
)
def test_what_may_surprise_is_said(draw, note, tmp_path):
    (said,) = read(draw(), tmp_path).notes
    assert said.startswith(str(tmp_path / "mask.png"))
    assert re.search(note, said)


def test_ordinary_masks_are_read_without_a_word(tmp_path):
    for picture in (davis(TWO), Image.fromarray(SHAPE * 255), with_alpha(WHITE, SHAPE * 255)):
        assert read(picture, tmp_path).notes == ()


PAN = (TWO + 1).astype(np.uint8)  # every pixel has an id, the first one along the border

PANOPTIC = {
    "grey": (lambda: Image.fromarray(PAN), PAN),
    "grey with gaps": (lambda: Image.fromarray(np.array([0, 7, 11, 23], np.uint8)[PAN]), np.array([0, 7, 11, 23])[PAN]),
    "16 bits": (lambda: Image.fromarray(PAN.astype(np.uint16) * 1000), PAN),
    "palette": (lambda: davis(PAN), PAN),
    "two ids of a palette": (lambda: davis(SHAPE + 1), SHAPE + 1),
    "colours as COCO numbers them": (lambda: rgb(PAN, BLACK, (12, 100, 3), (200, 7, 90), (231, 4, 99)), PAN),
}


@pytest.mark.parametrize("kind", PANOPTIC)
def test_a_map_in_which_every_pixel_has_an_id_keeps_them_all(kind, tmp_path):
    draw, labels = PANOPTIC[kind]
    found = read(draw(), tmp_path)
    np.testing.assert_array_equal(found.labels, labels)
    assert [re.search("no pixel is background, so value .* is object", note) is not None for note in found.notes] == [
        True
    ]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: rgb(TWO, WHITE, RED, GREEN),
        lambda: rgb(TWO, GREY, RED, GREEN),
        lambda: rgb(TWO, (68, 1, 84), (33, 145, 140), (253, 231, 37)),  # as Matplotlib saves an array by default
        lambda: rgb(TWO, (0, 0, 127), (124, 255, 121), (127, 0, 0)),
        lambda: Image.fromarray(np.array([255, 40, 90], np.uint8)[TWO]),
        lambda: Image.fromarray(np.array([65535, 40, 90], np.uint16)[TWO]),
        lambda: palette(PAN, BLACK, WHITE, RED, GREEN),
        lambda: Image.fromarray(SHAPE + 1),
    ],
)
def test_objects_on_paper_are_refused(draw, tmp_path):
    with pytest.raises(InputError, match=r"no pixel is background, and value .* covers the border"):
        read(draw(), tmp_path)


def photo():
    """A photo with bright and dark parts: a gradient with grain."""
    grain = np.random.default_rng(0).integers(0, 40, (*SIZE, 3))
    return (np.indices(SIZE).sum(0)[..., None] * 2 + grain).clip(0, 255).astype(np.uint8)


def cut_out(alpha, image=None):
    return Image.fromarray(np.dstack([photo() if image is None else image, alpha]))


CUT_OUTS = {
    "by a program": (lambda: cut_out(SHAPE * 255), SHAPE),
    "what is cut away is black": (lambda: cut_out(SHAPE * 255, photo() * SHAPE[..., None]), SHAPE),
    "feathered": (lambda: cut_out(feathered()), FEATHERED),
    "a smooth gradient": (
        lambda: cut_out(SHAPE * 255, np.indices(SIZE).astype(np.uint8)[[0, 1, 1]].transpose(1, 2, 0)),
        SHAPE,
    ),
    "grey": (lambda: cut_out(SHAPE * 255, photo()).convert("LA"), SHAPE),
    "few colours": (lambda: with_key(Image.fromarray(np.where(SHAPE, photo()[..., 0] | 1, 0)), 0).convert("LA"), SHAPE),
}


@pytest.mark.parametrize("kind", CUT_OUTS)
@pytest.mark.parametrize("name", ["mask.png", "mask.webp"])
def test_a_photo_that_was_cut_out_is_one_object(kind, name, tmp_path):
    draw, labels = CUT_OUTS[kind]
    found = read(draw(), tmp_path, name, **({"lossless": True} if name.endswith("webp") else {}))
    np.testing.assert_array_equal(found.labels, labels)
    assert "as of a photo that was cut out: one object" in found.notes[0]


def test_a_cut_out_with_a_palette_is_one_object(tmp_path):
    colours = Image.fromarray(photo()).quantize(200)
    picture = Image.fromarray(np.where(SHAPE > 0, np.asarray(colours), 255).astype(np.uint8))
    picture.putpalette(colours.getpalette())
    np.testing.assert_array_equal(read(with_key(picture, 255), tmp_path, "mask.gif").labels, SHAPE)


def test_drawings_on_transparent_ground_keep_their_objects(tmp_path):
    stripes = (np.indices(SIZE)[1] // 6 + 1) * SHAPE
    for labels in (TWO, stripes):
        ranks = np.unique(labels, return_inverse=True)[1].reshape(SIZE)
        picture = Image.fromarray(np.dstack([davis_palette()[ranks], np.where(ranks > 0, 255, 0)]).astype(np.uint8))
        assert len(read(picture, tmp_path).ids) == ranks.max()


@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_ids_in_colours_of_16_bits(name, tmp_path):
    for stored, labels in ((TWO, TWO), (SHAPE * np.uint16(65535), SHAPE)):
        cv2.imwrite(str(tmp_path / name), np.dstack([stored] * 3).astype(np.uint16))
        np.testing.assert_array_equal(read_first_masks(tmp_path / name, size=SIZE).labels, labels)
