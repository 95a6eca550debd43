import numpy as np
import pytest
from PIL import Image
from stand_ins.training import texture

from persam_hq.errors import InputError
from persam_hq.training.config.sam import DataSources
from persam_hq.training.data.datasets import load_clips, load_label_maps
from persam_hq.training.data.pair_sources import (
    AnnotatedImage,
    LabelMaps,
    MaskFolders,
    VideoFrames,
    open_sources,
    read_mask,
)

SIZE = (72, 96)


def rng(seed=0):
    return np.random.default_rng(seed)


def write(folder, name, values):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(folder / name)


def square(value=255):
    mask = np.zeros(SIZE, np.uint8)
    mask[10:40, 20:60] = value
    return mask


@pytest.fixture(params=["two folders", "one folder", "other endings"])
def folders(request, tmp_path):
    """Three images, two of them with masks: as DIS5K has them, as FSS, DUTS and MSRA-10K have, and otherwise."""
    images, masks = (tmp_path, tmp_path) if request.param == "one folder" else (tmp_path / "im", tmp_path / "gt")
    ending = "png" if request.param == "other endings" else "jpg"
    for index in range(3):
        write(images, f"p{index}.{ending}", texture(index, SIZE))
    for index in range(2):
        write(masks, f"p{index}.png", square())
    (images / "notes.txt").write_text("neither an image nor a mask")
    return images, masks


def test_images_are_matched_with_masks_of_the_same_stem(folders):
    source = MaskFolders(*folders)
    assert [(image.stem, mask.name) for image, mask in source.files] == [("p0", "p0.png"), ("p1", "p1.png")]
    reference, target = source.draw(rng())
    assert reference is target
    assert reference.image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(reference.mask, square(1))


@pytest.mark.parametrize(
    ("values", "mode"),
    [(square(255), "L"), (square(1), "L"), (square(7), "P"), (np.stack([square()] * 3, axis=2), "RGB")],
)
def test_masks_of_all_kinds(tmp_path, values, mode):
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), square(1))


def test_soft_edges_are_cut_in_the_middle(tmp_path):
    Image.fromarray(np.array([[0, 120, 128, 255]], np.uint8)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[0, 0, 1, 1]]


def test_an_empty_mask_shows_nothing(tmp_path):
    write(tmp_path / "im", "a.jpg", texture(0, SIZE))
    write(tmp_path / "gt", "a.png", square(0))
    assert MaskFolders(tmp_path / "im", tmp_path / "gt").draw(rng()) is None


def test_a_mask_of_another_size_is_named(tmp_path):
    write(tmp_path / "im", "a.jpg", texture(0, SIZE))
    write(tmp_path / "gt", "a.png", square()[:, :50])
    with pytest.raises(InputError, match=r"a.jpg and .*a.png: an image of \(72, 96\) has a mask of \(72, 50\)"):
        MaskFolders(tmp_path / "im", tmp_path / "gt").draw(rng())


def test_folders_that_do_not_serve(tmp_path):
    write(tmp_path / "im", "a.jpg", texture(0, SIZE))
    write(tmp_path / "gt", "b.png", square())
    with pytest.raises(InputError, match=r"no image in .*im has a mask in .*gt"):
        MaskFolders(tmp_path / "im", tmp_path / "gt")
    with pytest.raises(InputError, match=r"there is no folder .*none"):
        MaskFolders(tmp_path / "im", tmp_path / "none")
    (tmp_path / "gt" / "c.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read the mask .*c.png"):
        read_mask(tmp_path / "gt" / "c.png")


def test_two_frames_of_a_clip_show_one_object(clips_root):
    source = VideoFrames(load_clips(clips_root, ("square",)))
    drawn = [source.draw(rng(seed)) for seed in range(8)]
    assert all(sight.mask.sum() == 900 for pair in drawn for sight in pair)
    assert any(not np.array_equal(first.image, second.image) for first, second in drawn)


def test_a_segment_of_a_photo(photos_root):
    source = LabelMaps(load_label_maps(photos_root, background=True))
    drawn = [pair for pair in (source.draw(rng(seed)) for seed in range(8)) if pair is not None]
    assert drawn
    assert all(set(np.unique(first.mask)) == {0, 1} and first is second for first, second in drawn)


def test_sources_of_a_configuration_in_order_with_their_weights(clips_root, photos_root, tmp_path):
    write(tmp_path / "im", "a.jpg", texture(0, SIZE))
    write(tmp_path / "gt", "a.png", square())
    data = DataSources.model_validate(
        {
            "clips": [{"root": clips_root, "names": ["square"], "weight": 3}],
            "photos": [{"root": photos_root, "background": True, "weight": 2}],
            "pairs": [{"images": tmp_path / "im", "masks": tmp_path / "gt", "weight": 1}],
        }
    )
    sources, weights = open_sources(data)
    assert [type(source) for source in sources] == [MaskFolders, LabelMaps, VideoFrames]
    assert weights == [1, 2, 3]


def test_a_sight_has_one_size():
    with pytest.raises(InputError, match="make them one size"):
        AnnotatedImage(image=np.zeros((4, 4, 3), np.uint8), mask=np.zeros((4, 5), np.uint8))
