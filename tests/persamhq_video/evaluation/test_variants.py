"""Variants of a run."""

import pytest
from pydantic import BaseModel, ConfigDict

from persamhq_video.config import RunConfig, make_config
from persamhq_video.errors import ConfigError
from persamhq_video.evaluation import ABLATIONS, SIDE_BY_SIDE, Variant, parse_variant


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    motion: bool = True
    reach: float = 0.5


class Nested(RunConfig):
    """A configuration with options inside an option."""

    tracker: Inner = Inner()


@pytest.mark.parametrize(
    ("words", "name", "options"),
    [
        (["quick", "stride=2"], "quick", {"stride": 2}),
        (["no motion", "tracker.motion=false"], "no motion", {"tracker": {"motion": False}}),
        (
            ["two", "tracker.motion=no", "tracker.reach=0.25", "refine=[cascade, drop_specks]"],
            "two",
            {"tracker": {"motion": False, "reach": 0.25}, "refine": ["cascade", "drop_specks"]},
        ),
        (["text", "prompts=a=b"], "text", {"prompts": "a=b"}),
        (["nothing", "prompts="], "nothing", {"prompts": None}),
    ],
)
def test_words_become_options(words, name, options):
    assert parse_variant(words) == Variant(name, options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["quick"], r"got the variant 'quick'; expected NAME key=value"),
        (["stride=2", "end=3"], r"got the variant 'stride=2 end=3'; expected NAME key=value"),
        (["quick", "stride"], r"got 'stride'; expected key=value"),
        (["quick", ".motion=1"], r"got '.motion=1'; expected key=value"),
        (["quick", "refine=[a"], r"got 'refine=\[a'; expected a value as in a YAML file"),
    ],
)
def test_other_words_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse_variant(words)


def test_a_variant_is_laid_over_a_run():
    base = make_config({"stride": 3, "mode": "independent"})
    config = Variant("x", {"mode": "chained", "refine": []}).config(base)
    assert (config.stride, config.mode, config.refine) == (3, "chained", ())
    assert (base.mode, base.refine) == ("independent", None)
    assert Variant("same", {}).config(base) == base


def test_nested_options_are_merged(monkeypatch):
    monkeypatch.setattr("persamhq_video.evaluation.variants.make_config", Nested.model_validate)
    base = Nested.model_validate({"tracker": {"reach": 0.75}})
    config = parse_variant(["x", "tracker.motion=false"]).config(base)
    assert (config.tracker.motion, config.tracker.reach) == (False, 0.75)


def test_a_wrong_option_names_the_variant():
    with pytest.raises(ConfigError, match=r"variant 'typo': unknown option 'strides' \(did you mean 'stride'\?\)"):
        parse_variant(["typo", "strides=2"]).config(RunConfig())


@pytest.mark.parametrize("variants", [SIDE_BY_SIDE, ABLATIONS])
def test_the_lists_are_of_real_options_and_different_runs(variants):
    configs = [variant.config(RunConfig()) for variant in variants]
    assert all(one != other for i, one in enumerate(configs) for other in configs[:i])
    assert len({variant.name for variant in variants}) == len(variants)
