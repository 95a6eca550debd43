from typing import Annotated, Literal

import pytest
from pydantic import Field

from persamhq_video.errors import ConfigError, PluginError
from persamhq_video.plugin import Register
from persamhq_video.plugin.options import check_options, list_options


class Strategy:
    """Has an option of every kind."""

    def __init__(
        self,
        *,
        count: Annotated[int, Field(ge=1, le=9, description="how many")] = 2,
        share: Annotated[float, Field(gt=0)] = 0.5,
        kind: Literal["ridge", "logistic"] = "ridge",
        side: int | None = None,
        flag: bool = False,
    ) -> None:
        self.values = (count, share, kind, side, flag)


class Plain:
    """Has none."""


def needy(*, path: str) -> Plain:
    """Cannot do without."""
    del path
    return Plain()


def unreadable(*, path: "NoSuchType") -> Plain:  # noqa: F821 - that is the point
    del path
    return Plain()


def untyped(*, anything=3):
    return anything


class TestCheck:
    @pytest.mark.parametrize(
        ("given", "changed"),
        [
            ({}, {}),
            ({"count": "3"}, {"count": 3}),
            ({"flag": "yes"}, {"flag": True}),
        ],
    )
    def test_fills_in_the_defaults(self, given, changed):
        defaults = {"count": 2, "share": 0.5, "kind": "ridge", "side": None, "flag": False}
        assert check_options("x", Strategy, given) == {**defaults, **changed}

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"count": "many"}, r"option 'count' of the selector 'x': got 'many'; input should be a valid integer"),
            ({"count": 2.5}, r"option 'count' of the selector 'x': got 2.5; input should be a valid integer"),
            ({"count": 0}, r"got 0; input should be greater than or equal to 1"),
            ({"kind": "rigde"}, r"got 'rigde'; input should be 'ridge' or 'logistic'"),
            (
                {"cuont": 1},
                r"the selector 'x' has no option 'cuont' \(did you mean 'count'\?\); it has: count, sh",
            ),
        ],
    )
    def test_a_wrong_one_is_one_line(self, given, message):
        with pytest.raises(ConfigError, match=message) as caught:
            check_options("selector 'x'", Strategy, given)
        assert "\n" not in str(caught.value)

    def test_one_that_has_to_be_given(self):
        with pytest.raises(ConfigError, match="the selector 'x' needs its option 'path'"):
            check_options("selector 'x'", needy, {})

    def test_a_strategy_without_options(self):
        assert check_options("x", Plain, {}) == {}
        with pytest.raises(ConfigError, match="has no option 'k'; it has: none"):
            check_options("x", Plain, {"k": 1})

    def test_a_factory_without_types_takes_anything(self):
        assert check_options("x", untyped, {"anything": "text"}) == {"anything": "text"}

    def test_a_type_that_is_not_there(self):
        with pytest.raises(PluginError, match=r"the options of .*unreadable.* cannot be read: name 'NoSuchType'"):
            check_options("x", unreadable, {})


class TestList:
    def test_types_limits_defaults_and_docs(self):
        rows = {option.name: (option.type, option.default, option.doc) for option in list_options(Strategy)}
        assert rows == {
            "count": ("integer, >= 1, <= 9", "2", "how many"),
            "share": ("number, > 0", "0.5", ""),
            "kind": ("ridge | logistic", "ridge", ""),
            "side": ("integer | null", "None", ""),
            "flag": ("boolean", "False", ""),
        }

    def test_one_that_has_to_be_given(self):
        (option,) = list_options(needy)
        assert option.default == "none: it has to be given"

    def test_none(self):
        assert list_options(Plain) == ()


def test_a_register_makes_strategies_with_their_options():
    register = Register("selector")
    register.add("x", Strategy)
    assert register.make("x", {"count": 5}).values == (5, 0.5, "ridge", None, False)
    with pytest.raises(ConfigError, match="got 'five'"):
        register.make("x", {"count": "five"})
