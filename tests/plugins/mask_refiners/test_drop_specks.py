import pytest
import torch
from stand_ins.frame import predicted, rectangles, refined, registered

from persamhq_plugins.mask_refiners.drop_specks import DropSpecks, persamhq_register_mask_refiners
from persamhq_video.errors import ConfigError

SIZE = (60, 80)
BODY = (10, 10, 30, 30)


def spotted(*boxes):
    return predicted(rectangles(*boxes, size=SIZE))


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        pytest.param((70, 50, 72, 52), False, id="small and far"),
        pytest.param((31, 12, 33, 14), True, id="small and near"),
        pytest.param((50, 40, 60, 50), True, id="large and far"),
    ],
)
def test_only_small_parts_far_away_are_dropped(part, kept):
    found = refined(DropSpecks(), spotted(BODY, part))
    expected = spotted(BODY, part) if kept else spotted(BODY)
    assert torch.equal(found.masks, expected.masks)


@pytest.mark.parametrize("options", [{"min_share": 0.001}, {"reach": 4.0}])
def test_what_small_and_far_mean_are_options(options):
    found = refined(DropSpecks(**options), spotted(BODY, (70, 50, 72, 52)))
    assert torch.equal(found.masks, spotted(BODY, (70, 50, 72, 52)).masks)


def test_an_empty_mask_has_no_specks():
    assert not refined(DropSpecks(), spotted()).masks.any()


def test_objects_are_swept_one_by_one():
    both = predicted(*(rectangles(*boxes, size=SIZE) for boxes in [(BODY, (70, 50, 72, 52)), ((70, 50, 72, 52),)]))
    found = refined(DropSpecks(), both)
    assert found.masks.flatten(1).sum(dim=1).tolist() == [400, 4]


@pytest.mark.parametrize("options", [{"min_share": 1.5}, {"reach": -1}])
def test_options_have_limits(options):
    with pytest.raises(ConfigError, match=f"option '{next(iter(options))}'"):
        registered(persamhq_register_mask_refiners)["drop_specks"].make(options)


def test_it_is_offered_by_name():
    (entry,) = registered(persamhq_register_mask_refiners).values()
    assert entry.name == "drop_specks"
    assert entry.summary
    assert all(option.doc for option in entry.options)
