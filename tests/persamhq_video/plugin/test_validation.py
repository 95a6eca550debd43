from types import SimpleNamespace

import pytest

from persamhq_video.errors import PluginError
from persamhq_video.plugin import hookimpl
from persamhq_video.plugin.validation import HOOKS, check_hooks


def plugin(name, function):
    return SimpleNamespace(**{name: function})


def test_the_hooks_and_their_arguments():
    assert HOOKS["persamhq_register_prompt_selectors"] == ("register",)
    assert HOOKS["persamhq_run_finished"] == ("directory", "record")


@pytest.mark.parametrize(
    "function",
    [lambda register: None, lambda: None],
    ids=["all arguments", "none of them"],
)
def test_what_is_right(function):
    check_hooks("p", plugin("persamhq_register_mask_refiners", hookimpl(function)))


def test_other_functions_and_values_are_nobodys_business():
    check_hooks("p", SimpleNamespace(persamhq_video=3, helper=lambda x: x))


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        (
            "persamhq_register_mask_refiner",
            hookimpl(lambda register: None),
            r"the plugin p has an unknown hook .* \(did you mean 'persamhq_register_mask_refiners'\?\)",
        ),
        ("other", hookimpl(lambda register: None), r"unknown hook 'other'; known"),
        ("persamhq_run_finished", lambda record: None, r"but without the marker; put @hookimpl above it"),
        (
            "persamhq_run_finished",
            hookimpl(lambda folder: None),
            r"asks persamhq_run_finished for the argument 'folder'; it has: directory, record",
        ),
    ],
)
def test_what_is_wrong(name, function, message):
    with pytest.raises(PluginError, match=message):
        check_hooks("p", plugin(name, function))
