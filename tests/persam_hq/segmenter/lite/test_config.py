"""LiteConfig holds every number of lite's tracker, and says of each what it means and where it comes from."""

import ast
import inspect
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from persam_hq.errors import InputError
from persam_hq.options import TRACKER_PARTS
from persam_hq.segmenter.lite import config as config_module
from persam_hq.segmenter.lite.config import LiteConfig

ROOM = Path(config_module.__file__).parent
STRUCTURAL = {int: {-1, 0, 1, 2, 3}, float: {0.0, 1.0}}
"""Literals that a module of the tracker may hold outside of `config.py`: axes and counts of axes, halves and doubles,
nothing and all. A number that could be tuned is none of these."""


def documented_fields():
    """The fields of LiteConfig and the docstring under each."""
    (cls,) = ast.parse(inspect.getsource(LiteConfig)).body
    found = {}
    for statement, following in zip(cls.body, [*cls.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            found[statement.target.id] = " ".join(following.value.value.split()) if is_text else ""
    return found


FIELDS = documented_fields()


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_means_and_where_it_comes_from(name):
    assert len(FIELDS[name].split()) >= 6, FIELDS[name]
    assert "Measured: " in FIELDS[name] or "Chosen" in FIELDS[name], "a comparison, or that there was none"


def test_every_number_has_a_unit_and_a_range_that_it_lies_in():
    assert set(FIELDS) == {each.name for each in fields(LiteConfig)}
    for each in fields(LiteConfig):
        if isinstance(each.default, bool):
            assert not each.metadata, each.name
        else:
            low, high = each.metadata["range"]
            assert low <= each.default <= high, each.name
            assert each.metadata["unit"], each.name


def test_the_page_on_the_tracker_lists_every_field_with_its_default():
    page = (Path(__file__).parents[4] / "docs" / "explanation" / "lite.md").read_text(encoding="utf-8")
    for each in fields(LiteConfig):
        if isinstance(each.default, bool):
            row = f"| `{each.name}` | {'on' if each.default else 'off'} | switch | |"
        else:
            low, high = each.metadata["range"]
            row = f"| `{each.name}` | {each.default:g} | {each.metadata['unit']} | {low:g} to {high:g} |"
        assert row in page


def bare_numbers(source):
    """(line, number) of the literals of a module that are no structural ones, and of numbers that are given a name.

    A module or a class gives a number a name by an assignment in its own body; functions may do so.
    """
    tree = ast.parse(source)
    named = [
        node
        for body in [tree.body, *(c.body for c in ast.walk(tree) if isinstance(c, ast.ClassDef))]
        for statement in body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
        for node in ast.walk(statement.value)
    ]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in STRUCTURAL:
            is_structural = node.value in STRUCTURAL[type(node.value)]
            if not is_structural or any(node is other for other in named):
                found.add((node.lineno, node.value))
    return sorted(found)


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_no_module_of_the_tracker_has_a_number_of_its_own(path):
    numbers = bare_numbers(path.read_text())
    if path.name == "config.py":
        assert numbers
    else:
        assert not numbers, f"{path.name}: a number of the tracker belongs into LiteConfig, with its reason"


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("def f(x):\n    return x.sum(dim=(2, 3)) / 2 + x[-1].clamp(min=1.0)", []),
        ("def f(x):\n    return x > 0.7", [(2, 0.7)]),
        ("def f(x):\n    return 16 * x", [(2, 16)]),
        ("SLOTS = 2", [(1, 2)]),
        ("SLOTS: Final = (2, other)", [(1, 2)]),
        ("class A:\n    rate: float = 1.0", [(2, 1.0)]),
        ("FLAG = True", []),
    ],
)
def test_what_counts_as_a_number_of_its_own(source, numbers):
    assert bare_numbers(source) == numbers


def test_every_part_is_a_switch_that_is_on_until_it_is_left_out():
    switches = {part: part.replace("-", "_") for part in TRACKER_PARTS}
    for part, name in switches.items():
        assert getattr(LiteConfig(), name) is True
        without = LiteConfig().without(part)
        assert [other for other in switches.values() if not getattr(without, other)] == [name]
    nothing = LiteConfig().without(*TRACKER_PARTS)
    assert not any(getattr(nothing, name) for name in switches.values())
    assert LiteConfig().without() == LiteConfig()


def test_an_unknown_part_is_refused():
    with pytest.raises(InputError, match="unknown part 'windows' of lite's tracker; known: first-matching, previous"):
        LiteConfig().without("windows")


@pytest.mark.parametrize(("name", "value"), [("confident", 1.5), ("edge_cells", 0), ("hq_gain", float("nan"))])
def test_a_number_out_of_its_range_is_refused(name, value):
    with pytest.raises(InputError, match=rf"LiteConfig.{name} is .*; expected a value from"):
        LiteConfig(**{name: value})


def test_published_is_persams_procedure_and_may_leave_out_more():
    published = LiteConfig.published()
    assert published.whole_frame
    assert published.published_selection
    assert published.target_maximum
    assert not any((published.first_matching, published.previous_frame, published.ridge, published.search))
    assert published.without("presence") == LiteConfig.published().without("presence") != published


def test_a_configuration_is_a_value():
    with pytest.raises(FrozenInstanceError):
        LiteConfig().confident = 0.5
    assert LiteConfig() == LiteConfig()
    assert hash(LiteConfig()) == hash(LiteConfig())
