"""Which frames are shown."""

import base64
import io

import numpy as np
from PIL import Image

from persamhq_video.compare.disagreements import MOST, STRETCH, Moments, data_uri

PICTURE = np.full((8, 16, 3), 200, np.uint8)


def worst(values):
    """The frames that are kept of a video with these agreements, and for how many pictures were made."""
    moments, made = Moments(), []
    for index, value in enumerate(values):
        moments.offer(index, f"{index:05d}", value, lambda index=index: made.append(index) or [PICTURE])
    return [moment.index for moment in moments.worst()], made


def test_one_a_stretch():
    values = [0.9] * (2 * STRETCH)
    values[3], values[4], values[STRETCH] = 0.5, 0.4, 0.6
    assert worst(values)[0] == [4, STRETCH]


def test_the_worst_of_many():
    values = [1 - 0.001 * (stretch % 17) for stretch in range(40) for _ in range(STRETCH)]
    kept, _ = worst(values)
    assert len(kept) == MOST
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
