"""Small models with weights that their keys stand for, one square and one rectangular."""

import pytest
from golden.fill_weights import fill_state_dict
from stand_ins.model import rectangular_model, square_model


@pytest.fixture(scope="session")
def square():
    """A vision transformer of 64 pixels with HQ parts."""
    return _ready(square_model(hq=True))


@pytest.fixture(scope="session")
def square_plain():
    """The same without HQ parts."""
    return _ready(square_model(hq=False))


@pytest.fixture(scope="session")
def rectangular():
    """A convolution in place of the encoder, 48 by 96 pixels, nothing padded."""
    return _ready(rectangular_model())


def _ready(model):
    fill_state_dict(model)
    return model.eval()
