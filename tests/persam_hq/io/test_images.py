import numpy as np
import pytest
from PIL import Image

from persam_hq.errors import InputError
from persam_hq.io.images import (
    contact_sheet,
    davis_palette,
    image_size,
    overlaid,
    read_grey,
    read_ids,
    read_image,
    read_mask,
    thumbnail,
    write_image,
    write_labels,
)

LABELS = np.zeros((4, 6), np.uint8)
LABELS[1:3, 2:5] = 1
LABELS[3, 0] = 2


def test_labels_come_back_and_have_colours(tmp_path):
    write_labels(tmp_path / "m.png", LABELS)
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), LABELS)
        assert image.convert("RGB").getpixel((2, 1)) == (128, 0, 0)
    assert np.array_equal(read_mask(tmp_path / "m.png"), LABELS > 0)


def test_the_colours_are_those_of_davis():
    assert davis_palette()[[0, 1, 2, 3, 4, 8]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [64, 0, 0],
    ]


@pytest.mark.parametrize("pixels", [LABELS, LABELS > 0, np.stack([LABELS * 0, LABELS, LABELS * 0], axis=2)])
def test_a_mask_is_what_is_not_zero(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), LABELS > 0)


def test_an_alpha_channel_is_no_mask(tmp_path):
    opaque = np.full_like(LABELS, 255)
    Image.fromarray(np.stack([LABELS, LABELS, LABELS, opaque], axis=2)).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), LABELS > 0)


@pytest.mark.parametrize("colour", [0, 255])
def test_what_is_transparent_is_no_mask_whatever_its_colour(tmp_path, colour):
    below = np.where(LABELS > 0, np.uint8(255), np.uint8(colour))
    alpha = (LABELS > 0) * np.uint8(255)
    Image.fromarray(np.stack([below, below, below, alpha], axis=2)).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), LABELS > 0)


def test_sixteen_bits_of_grey_keep_their_shades(tmp_path):
    shades = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    Image.fromarray(shades).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), np.stack([shades // 256] * 3, axis=2))


def test_images_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (6, 4, 3)


def test_the_overlay_tints_objects_alone(tmp_path):
    write_image(tmp_path / "o.png", overlaid(np.full((4, 6, 3), 100, np.uint8), LABELS))
    overlay = read_image(tmp_path / "o.png")
    assert overlay[1, 2].tolist() == [114, 50, 50]
    assert overlay[0, 0].tolist() == [100, 100, 100]


@pytest.mark.parametrize(("content", "said"), [(None, "no such file"), (b"text", "cannot be read as an image")])
def test_no_image(tmp_path, content, said):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("size", "want"), [((80, 40), (20, 10)), ((40, 80), (10, 20)), ((6, 9), (6, 9))])
def test_thumbnails_shrink_and_never_grow(size, want):
    assert thumbnail(np.zeros((*size, 3), np.uint8), side=20).shape == (*want, 3)


def test_a_contact_sheet_has_each_image_in_the_middle_of_its_cell():
    tiles = [np.full((h, w, 3), value, np.uint8) for h, w, value in ((4, 8, 10), (2, 8, 20), (4, 4, 30))]
    sheet = contact_sheet(tiles, columns=2)
    assert sheet.shape == (8, 16, 3)
    assert (sheet[:4, :8] == 10).all()
    assert (sheet[1:3, 8:] == 20).all()
    assert (sheet[4:, 2:6] == 30).all()
    assert sum(int((sheet == value).all(axis=2).sum()) for value in (10, 20, 30)) == 32 + 16 + 16
    assert sheet[0, 8].tolist() == sheet[7, 15].tolist() == [255, 255, 255]
    assert contact_sheet(tiles[:1]).shape == (4, 8, 3)


@pytest.mark.parametrize(
    ("values", "want"),
    [([[0, 1]], [[0, 255]]), ([[0, 128]], [[0, 128]]), ([[0, 0]], [[0, 0]]), ([[1, 255]], [[1, 255]])],
)
def test_shades_of_an_annotation(tmp_path, values, want):
    Image.fromarray(np.array(values, np.uint8)).save(tmp_path / "m.png")
    assert read_grey(tmp_path / "m.png").tolist() == want


def test_ids_are_indices_or_shades(tmp_path):
    write_labels(tmp_path / "palette.png", LABELS)
    Image.fromarray(LABELS).save(tmp_path / "grey.png")
    assert np.array_equal(read_ids(tmp_path / "palette.png"), LABELS)
    assert np.array_equal(read_ids(tmp_path / "grey.png"), LABELS)
    Image.fromarray(np.repeat(LABELS[..., None], 3, axis=2)).save(tmp_path / "colour.png")
    with pytest.raises(InputError, match="mode RGB; expected a palette or grey PNG"):
        read_ids(tmp_path / "colour.png")


def white_first():
    image = Image.fromarray((LABELS == 0).astype(np.uint8))
    image.putpalette([255, 255, 255, 0, 0, 0])
    return image


def transparent_index():
    image = Image.fromarray((LABELS == 0).astype(np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize("draw", [white_first, transparent_index])
def test_a_mask_is_what_a_viewer_shows(tmp_path, draw):
    image = draw()
    image.save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), LABELS > 0)
    assert np.array_equal(read_ids(tmp_path / "m.png"), LABELS > 0)


def test_what_is_less_than_half_opaque_is_no_mask(tmp_path):
    alpha = np.where(LABELS == 1, 200, np.where(LABELS == 2, 60, 0)).astype(np.uint8)
    Image.fromarray(np.dstack([np.full((4, 6, 3), 255, np.uint8), alpha])).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png"), LABELS == 1)


def test_pictures_of_several_frames_and_bombs_are_refused(tmp_path):
    frames = [Image.new("L", (6, 4), level) for level in (0, 90, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"a\.gif cannot be read as an image \(3 pictures in one file"):
        read_image(tmp_path / "a.gif")
    Image.new("1", (13300, 13300)).save(tmp_path / "bomb.png")
    assert image_size(tmp_path / "bomb.png") == (13300, 13300)
    for read in (read_image, read_mask, read_ids, read_grey):
        with pytest.raises(InputError, match="13300x13300 is more than the limit of 134217728 pixels"):
            read(tmp_path / "bomb.png")


def test_twelve_bits_are_not_black(tmp_path):
    shades = np.linspace(0, 4095, 24).astype(np.uint16).reshape(4, 6)
    Image.fromarray(shades).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), np.stack([shades >> 4] * 3, axis=2))
