import pytest
import torch

from persam_hq.types import ImageGeometry, LocationPrior
from persamhq_video.plugin.manager import load_registry
from persamhq_video.protocols import FrameInfo, ObjectView, Seen

SIZE = (40, 60)
FRAME = FrameInfo(index=3, size=SIZE)


@pytest.fixture
def prior():
    """The object is most likely at x = 30, y = 20."""
    similarity = torch.zeros(SIZE)
    similarity[20, 30] = 1
    geometry = ImageGeometry(original=SIZE, input=SIZE, padded=SIZE)
    return LocationPrior(grid=torch.zeros(4, 6), similarity=similarity, geometry=geometry)


def view(box=None, slot=None):
    return ObjectView(object_id=1, box=box, mask_logits=None, missing=0, slot=slot)


def seen(prior, width=0, height=0):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[:height, :width] = True
    return Seen(FRAME, object_id=1, state="present", score=1.0, mask=mask, prior=prior)


def make(**options):
    """As a run makes it: by its name, from the installed package."""
    return load_registry().prompt_selectors.make("steady_box", options)


def test_the_peak_alone_at_first(prior):
    prompts = make()(prior, view(box=(1.0, 2.0, 3.0, 4.0)), FRAME)
    assert prompts.points.tolist() == [[30, 20]]
    assert prompts.box is None


def test_the_box_keeps_its_size_and_stays_in_the_frame(prior):
    prompts = make(margin=0)(prior, view(box=(10.0, 10.0, 20.0, 30.0), slot=[20.0, 70.0]), FRAME)
    assert prompts.box.tolist() == [5, 0, 25, 40]


def test_the_size_is_a_running_mean(prior):
    steady = make(memory=0.5)
    slot = steady.remember(None, seen(prior, width=10, height=20))
    assert slot == [10, 20]
    slot = steady.remember(slot, seen(prior, width=20, height=20))
    assert slot == [15, 20]
    assert steady.remember(slot, seen(prior)) == slot


def test_a_memory_of_everything_is_refused():
    with pytest.raises(Exception, match="less than 1"):
        make(memory=1)
