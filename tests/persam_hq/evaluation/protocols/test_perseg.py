import numpy as np
import pytest
from PIL import Image

from persam_hq.evaluation import EvaluationError
from persam_hq.evaluation.protocols.perseg import evaluate_perseg, read_perseg

SIZE = (20, 30)


def mask(width):
    mask = np.zeros(SIZE, np.uint8)
    mask[4:16, :width] = 1
    return mask


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def published(root, name, stem, label):
    save(root / "Images" / name / f"{stem}.jpg", np.full((*SIZE, 3), 9, np.uint8))
    save(root / "Annotations" / name / f"{stem}.png", label)


def one_folder(root, name, stem, label):
    save(root / name / "images" / f"{stem}.jpg", np.full((*SIZE, 3), 9, np.uint8))
    save(root / name / "annotations" / f"{stem}.png", label)


def copies(photo, annotation):
    """Finds the object where the reference has it."""
    assert photo.shape == (*SIZE, 3)
    return lambda other: annotation


@pytest.mark.parametrize("write", [published, one_folder])
def test_both_layouts(tmp_path, write):
    for name in ("cat", "bear"):
        for index in range(3):
            write(tmp_path, name, f"{index:02d}", 255 * mask(10))
    objects = read_perseg(tmp_path)
    assert [(item.name, len(item)) for item in objects] == [("bear", 3), ("cat", 3)]
    rows = list(evaluate_perseg(copies, objects))
    assert [(row.name, row.images, row.scores) for row in rows] == [("bear", 2, (1, 1)), ("cat", 2, (1, 1))]


def test_iou_is_pooled_over_the_photos(tmp_path):
    for index, width in enumerate((10, 20, 5)):
        published(tmp_path, "cat", str(index), mask(width))
    (first,) = evaluate_perseg(copies, read_perseg(tmp_path))
    assert first.scores[0] == pytest.approx((10 + 5) / (20 + 10))
    (each,) = evaluate_perseg(copies, read_perseg(tmp_path), every_reference=True)
    assert each.images == 6
    assert each.scores[0] == pytest.approx((10 + 5 + 10 + 5 + 5 + 5) / (20 + 10 + 20 + 20 + 10 + 20))


def test_colours_are_foreground_too(tmp_path):
    for stem in "ab":
        published(tmp_path, "cat", stem, np.stack([mask(9) * 128, mask(0), mask(0)], axis=2))
    _, annotation = read_perseg(tmp_path)[0].read(0)
    assert np.array_equal(annotation, mask(9) > 0)


def test_what_does_not_belong_together(tmp_path):
    published(tmp_path, "cat", "a", mask(9))
    with pytest.raises(EvaluationError, match="object cat has 1 photo: expected at least two"):
        read_perseg(tmp_path)
    published(tmp_path, "cat", "b", mask(9))
    (tmp_path / "Annotations" / "cat" / "a.png").unlink()
    with pytest.raises(EvaluationError, match="object cat: a is a photo or an annotation only"):
        read_perseg(tmp_path)
    save(tmp_path / "Annotations" / "cat" / "a.png", mask(9)[:-1])
    with pytest.raises(EvaluationError, match=r"a\.png is 30x19: expected 30x20"):
        read_perseg(tmp_path)[0].read(0)


def test_folders_that_are_not_there(tmp_path):
    with pytest.raises(EvaluationError, match="holds no object"):
        read_perseg(tmp_path)
    with pytest.raises(EvaluationError, match="is no folder"):
        read_perseg(tmp_path / "none")
    (tmp_path / "Images" / "cat").mkdir(parents=True)
    with pytest.raises(EvaluationError, match="expected an annotation for each photo"):
        read_perseg(tmp_path)
