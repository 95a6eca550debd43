import argparse

import numpy as np
import pytest
from PIL import Image

from persam_hq.cli.object_search import check_searched_images, object_searches
from persam_hq.errors import InputError


def options(*images, image=None, mask=None, objects=False):
    return argparse.Namespace(images=list(images), image=image, mask=mask, objects=objects)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def root(tmp_path):
    """Two objects, the first photo of one of them without an annotation."""
    for name in ("cat", "dog"):
        for index in range(3):
            save(tmp_path / "Images" / name / f"{index}.jpg", np.zeros((4, 6, 3), np.uint8))
            if (name, index) != ("dog", 0):
                save(tmp_path / "Annotations" / name / f"{index}.png", np.ones((4, 6), np.uint8))
    return tmp_path


def test_the_first_annotated_photo_of_a_folder_shows_the_object(root):
    cat, dog = object_searches(options(root))
    assert (cat.name, cat.image.name, cat.mask.name, cat.folder) == ("cat", "0.jpg", "0.png", "cat/")
    assert [path.name for path in cat.searched] == ["1.jpg", "2.jpg"]
    assert (dog.image.name, [path.name for path in dog.searched]) == ("1.jpg", ["0.jpg", "2.jpg"])
    assert [known and known.name for known in dog.annotations] == [None, "2.png"]


def test_one_reference_and_many_images(root):
    images = sorted((root / "Images" / "cat").iterdir())
    mask = root / "Annotations" / "cat" / "0.png"
    (search,) = object_searches(options(root / "Images" / "cat", image=images[0], mask=mask))
    assert (search.name, search.searched, search.annotations, search.value) == ("1", tuple(images), (None,) * 3, None)


def test_a_search_for_each_value_of_the_mask(root):
    mask = save(root / "m.png", np.array([[0, 9, 0], [3, 3, 9]], np.uint8))
    found = object_searches(options(root / "Images" / "cat", image=root / "i.png", mask=mask, objects=True))
    assert [(search.name, search.value) for search in found] == [("3", 3), ("9", 9)]


def test_annotations_of_another_size(root):
    searches = object_searches(options(root))
    check_searched_images(searches)
    save(root / "Annotations" / "dog" / "2.png", np.ones((5, 6), np.uint8))
    with pytest.raises(InputError, match=r"dog/2\.png is not of its photo's size, 6x4"):
        check_searched_images(searches)


def test_objects_without_what_they_need(root):
    (root / "Images" / "emu").mkdir()
    (root / "Annotations" / "emu").mkdir()
    with pytest.raises(InputError, match=r"object emu in .* has no photo"):
        object_searches(options(root))
    save(root / "Images" / "emu" / "0.jpg", np.zeros((4, 6, 3), np.uint8))
    save(root / "Annotations" / "emu" / "0.png", np.ones((4, 6), np.uint8))
    with pytest.raises(InputError, match="expected an annotated photo and others"):
        object_searches(options(root))
