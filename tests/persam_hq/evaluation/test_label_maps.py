"""Label maps and frames as files."""

import numpy as np
import pytest
from PIL import Image

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.label_maps import image_size, read_frame, read_label_map

IDS = np.array([[0, 1, 2], [7, 0, 255]], np.uint8)


def test_palette_indices_not_colours(tmp_path):
    image = Image.fromarray(IDS)
    image.putpalette([200, 10, 30] * 256)
    image.save(tmp_path / "a.png")
    labels = read_label_map(tmp_path / "a.png")
    np.testing.assert_array_equal(labels, IDS)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize(
    "pixels",
    [
        IDS,
        np.stack([IDS] * 3, axis=-1),
        np.concatenate([np.stack([IDS] * 3, axis=-1), np.full((2, 3, 1), 255, np.uint8)], axis=-1),
        np.stack([IDS, np.full((2, 3), 255, np.uint8)], axis=-1),
        IDS.astype(np.uint16),
    ],
    ids=["grey", "rgb", "rgba", "grey-alpha", "16-bit"],
)
def test_grey_values_in_any_mode(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), IDS)


def test_bilevel(tmp_path):
    Image.fromarray(IDS > 0).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), (IDS > 0).astype(np.uint8))


def test_colour_is_refused(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0] = 128, 0, 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(EvaluationError, match=r"a\.png is a colour image.*palette or grey"):
        read_label_map(tmp_path / "a.png")


def test_large_ids_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(EvaluationError, match="value 300: expected ids from 0 to 255"):
        read_label_map(tmp_path / "a.png")


def test_not_an_image(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(EvaluationError, match=r"a\.png cannot be read as an image"):
        read_label_map(tmp_path / "a.png")


def test_missing_file(tmp_path):
    with pytest.raises(EvaluationError, match=r"a\.png cannot be read"):
        read_frame(tmp_path / "a.png")


def test_cut_off_file(tmp_path, rng):
    path = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(EvaluationError, match=r"a\.png is damaged"):
        read_label_map(path)


def test_frame_is_rgb(tmp_path):
    Image.fromarray(np.full((3, 5, 3), (10, 20, 30), np.uint8)).save(tmp_path / "a.png")
    frame = read_frame(tmp_path / "a.png")
    assert frame.shape == (3, 5, 3)
    assert frame[0, 0].tolist() == [10, 20, 30]
    assert image_size(tmp_path / "a.png") == (3, 5)


def test_grey_frame_is_rgb(tmp_path):
    Image.fromarray(np.full((3, 5), 9, np.uint8)).save(tmp_path / "a.png")
    assert read_frame(tmp_path / "a.png").shape == (3, 5, 3)
