import pytest
from pydantic import ValidationError

from persamhq_video.config import StrategyChoice, make_config
from persamhq_video.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "name", "options"),
    [
        ("top_k_points", "top_k_points", {}),
        ("a:k=2", "a", {"k": 2}),
        ("a: k = 2 , on=true,name=x", "a", {"k": 2, "on": True, "name": "x"}),
        ("a:sizes=[1, 2],k=0.5", "a", {"sizes": [1, 2], "k": 0.5}),
        ({"a": {"k": 2}}, "a", {"k": 2}),
        ({"a": None}, "a", {}),
        ({"name": "a", "options": {"k": 2}}, "a", {"k": 2}),
        ({"name": "a"}, "a", {}),
    ],
)
def test_reads_text_and_mappings(written, name, options):
    choice = StrategyChoice.model_validate(written)
    assert (choice.name, choice.options) == (name, options)
    assert StrategyChoice.model_validate(choice.model_dump(mode="json")) == choice
    assert StrategyChoice.model_validate(str(choice)) == choice


def test_is_written_as_the_shorter_of_the_two():
    assert StrategyChoice(name="a").model_dump() == "a"
    assert StrategyChoice(name="a", options={"k": 1}).model_dump() == {"a": {"k": 1}}


@pytest.mark.parametrize("text", ["a:k", "a:=2", "a:k=2,,"])
def test_what_is_no_option(text):
    with pytest.raises(ValidationError, match=r"is no option; expected NAME:OPTION=VALUE"):
        StrategyChoice.model_validate(text)


def test_a_value_that_is_no_yaml():
    with pytest.raises(ValidationError, match=r"the value of 'k=\[' cannot be read"):
        StrategyChoice.model_validate("a:k=[")


def test_a_wrong_one_in_a_configuration_is_one_line():
    with pytest.raises(ConfigError, match="option prompts: got 'a:k'; value error, 'k' is no option"):
        make_config({"prompts": "a:k"})
