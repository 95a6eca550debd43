"""A short clip of three objects, one of them a single pixel."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

SIZE = (100, 150)


def frame(shift):
    rng = np.random.default_rng(shift)
    image = rng.integers(90, 130, (*SIZE, 3)).astype(np.uint8)
    image[30 + shift : 66 + shift, 20 + shift : 60 + shift] = (210, 60, 40)
    image[10:40, 100 - shift : 130 - shift] = (40, 200, 90)
    return image


@pytest.fixture(scope="session")
def scene():
    masks = torch.zeros(3, *SIZE, dtype=torch.bool)
    masks[0, 30:66, 20:60] = True
    masks[1, 10:40, 100:130] = True
    masks[2, 80, 140] = True
    return SimpleNamespace(frames=[frame(shift) for shift in (0, 3, 6)], masks=masks, size=SIZE)
