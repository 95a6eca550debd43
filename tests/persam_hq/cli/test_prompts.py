import argparse
import json
from pathlib import Path

import pytest

from persam_hq.cli.prompts import ObjectPrompt, parse_box, parse_point, prompts_of
from persam_hq.errors import InputError


def options(*images, point=None, box=None, prompts=None, mask_prompt=None):
    return argparse.Namespace(
        images=[Path(image) for image in images], point=point, box=box, prompts=prompts, mask_prompt=mask_prompt
    )


@pytest.mark.parametrize(("text", "point"), [("3,4", (3, 4, 1)), ("3.5,4,0", (3.5, 4, 0)), ("3,4,1", (3, 4, 1))])
def test_points(text, point):
    assert parse_point(text) == point


@pytest.mark.parametrize("text", ["3", "3,4,x", "a,b", "1,2,0,4"])
def test_what_is_no_point(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no point; expected X,Y"):
        parse_point(text)


def test_boxes():
    assert parse_box("1,2,3,4.5") == (1, 2, 3, 4.5)
    with pytest.raises(argparse.ArgumentTypeError, match="'1,2,3' is no box"):
        parse_box("1,2,3")


def test_options_are_one_object_of_every_image():
    found = prompts_of(options("x/a.jpg", "b.jpg", point=[(3, 4, 1)], box=(1, 2, 9, 9)))
    want = (ObjectPrompt(points=((3, 4, 1),), box=(1, 2, 9, 9)),)
    assert found == {"a.jpg": want, "b.jpg": want}


@pytest.mark.parametrize("by_name", [False, True])
def test_a_file_holds_objects_for_all_images_or_for_each(tmp_path, by_name):
    objects = [{"points": [[3, 4, 1]]}, {"box": [1, 2, 9, 9]}]
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"a.jpg": objects, "c.jpg": objects} if by_name else objects))
    (found,) = prompts_of(options("x/a.jpg", prompts=path)).values()
    assert found == (ObjectPrompt(points=((3, 4, 1),)), ObjectPrompt(box=(1, 2, 9, 9)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON: brackets are nested too deeply"),
        ('[{"box": [0, 0, 1, ' + "9" * 5000 + "]}]", "is no JSON: Exceeds the limit"),
        ("3", "neither a list of objects nor one for each"),
        ('{"b.jpg": []}', r"no prompts for a\.jpg"),
        ("[]", "at least 1 item"),
        ("[{}]", "object 0 an object needs a box, a mask or a point with label 1"),
        ('[{"points": [[1, 2, 0]]}]', "needs a box, a mask or a point with label 1"),
        ('[{"points": [[1, 2, 5]]}]', "label is 1"),
        ('[{"box": [5, 2, 3, 9]}]', "x0 < x1"),
        ('[{"box": [1, 2, 9, 9]}, {"points": [[1, 2]], "labels": []}]', "object 1 1 points have 0 labels"),
        ('[{"boxes": [1, 2, 3, 4]}]', "object 0.boxes Extra inputs"),
    ],
)
def test_a_file_that_says_nothing_useful(tmp_path, content, said):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        prompts_of(options("a.jpg", prompts=path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("by_name", [False, True])
def test_one_object_may_stand_by_itself(tmp_path, by_name):
    clicks = {"clicked_points": [[3, 4], [5, 6]], "clicked_labels": [1, 0]}
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"a.jpg": clicks} if by_name else clicks))
    assert prompts_of(options("a.jpg", prompts=path)) == {"a.jpg": (ObjectPrompt(points=((3, 4, 1), (5, 6, 0))),)}


def test_masks_lie_beside_the_file_that_names_them(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"mask": "rough.png"}, {"mask": "/elsewhere/m.png", "box": [1, 2, 3, 4]}]))
    first, second = prompts_of(options("a.jpg", prompts=path))["a.jpg"]
    assert first.mask == tmp_path / "rough.png"
    assert second.mask == Path("/elsewhere/m.png")
    (alone,) = prompts_of(options("a.jpg", mask_prompt=Path("m.png")))["a.jpg"]
    assert alone.mask == Path("m.png")


def test_prompts_that_are_missing_or_given_twice(tmp_path):
    with pytest.raises(InputError, match="nothing says what to segment"):
        prompts_of(options("a.jpg"))
    with pytest.raises(InputError, match="exclude each other"):
        prompts_of(options("a.jpg", point=[(1, 2, 1)], prompts=tmp_path / "p.json"))
    with pytest.raises(InputError, match="cannot read the prompts"):
        prompts_of(options("a.jpg", prompts=tmp_path / "p.json"))


def test_prompts_lie_in_the_image():
    inside = ObjectPrompt(points=((9, 4, 1),), box=(-2, 0, 30, 30))
    inside.refuse_outside(width=10, height=5, image=Path("a.jpg"))
    with pytest.raises(InputError, match=r"a\.jpg is 10x5, the point 10,4 is outside"):
        ObjectPrompt(points=((10, 4, 1),)).refuse_outside(width=10, height=5, image=Path("a.jpg"))
    with pytest.raises(InputError, match="the box 11,0,12,4 is outside"):
        ObjectPrompt(box=(11, 0, 12, 4)).refuse_outside(width=10, height=5, image=Path("a.jpg"))
