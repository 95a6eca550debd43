"""The choice of the frames on the page."""

import base64
import io

import numpy as np
from PIL import Image

from persamhq_video.compare.disagreements import MAX_SHOWN, STRETCH_FRAMES, Disagreements, data_uri

PICTURE = np.full((8, 16, 3), 200, np.uint8)


def worst(values):
    """The frames that are kept of a video with these agreements, and for how many pictures were made."""
    disagreements, made = Disagreements(), []
    for index, value in enumerate(values):
        disagreements.add(index, f"{index:05d}", value, lambda index=index: made.append(index) or [PICTURE])
    return [disagreement.index for disagreement in disagreements.worst()], made


def test_one_a_stretch():
    values = [0.9] * (2 * STRETCH_FRAMES)
    values[3], values[4], values[STRETCH_FRAMES] = 0.5, 0.4, 0.6
    assert worst(values)[0] == [4, STRETCH_FRAMES]


def test_the_worst_of_many():
    values = [1 - 0.001 * (stretch % 17) for stretch in range(40) for _ in range(STRETCH_FRAMES)]
    kept, _ = worst(values)
    assert len(kept) == MAX_SHOWN
    assert max(values[index] for index in kept) <= 0.987


def test_where_all_agree_nothing_is_shown():
    assert worst([1.0] * 50) == ([], [])


def test_pictures_are_made_of_candidates_alone():
    _, made = worst([0.5, *[0.9] * 11])
    assert made == [0]


def test_a_picture_as_an_address():
    uri = data_uri(PICTURE)
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (16, 8)
