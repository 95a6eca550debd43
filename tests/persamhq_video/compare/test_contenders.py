"""Contenders: which may be compared, and the messages for the rest."""

import pytest

from persamhq_video.compare.contenders import STRATEGY_OPTIONS, Contender, check_contenders
from persamhq_video.config import NEUTRAL_OPTIONS, RunConfig, make_config
from persamhq_video.errors import ConfigError

BASE = make_config({"stride": 2, "prompts": "top_k_points"})


def contender(name, **options):
    return Contender.over(BASE, name, "", make_config(options))


def test_own_options_win_over_the_common_ones():
    config = contender("near", prompts="persam_video").config
    assert (str(config.prompts), config.stride) == ("persam_video", 2)


def test_what_is_not_said_is_common():
    assert contender("near").config == BASE


def test_a_wrong_combination_names_the_strategy():
    with pytest.raises(ConfigError, match=r"^--try near: option stride: got 0"):
        Contender.over(BASE, "near", "", RunConfig.model_construct(_fields_set={"stride"}, stride=0))


def test_strategies_may_differ_in_what_no_feature_depends_on():
    options = {"decoder": "hq", "mode": "independent", "refine": [], "without": ["ridge"], "no_guidance": True}
    check_contenders([contender("a"), contender("b", **options)])


def test_what_the_engine_does_is_never_a_strategy():
    assert not STRATEGY_OPTIONS & NEUTRAL_OPTIONS
    assert set(RunConfig.model_fields) >= STRATEGY_OPTIONS


REFUSED = {
    "one alone": ([("a", {})], "got 1 strategy to compare; give --try NAME=OPTIONS twice or more"),
    "none": ([], "got 0 strategy"),
    "two of one name": ([("a", {}), ("a", {})], "--try a: there are two of that name"),
    "names that a disk may take for one": ([("a", {}), ("A", {})], "--try A: there are two of that name"),
    "a path": ([("a", {}), ("b/c", {})], "--try 'b/c': got no name for a folder"),
    "a hidden name": ([("a", {}), (".b", {})], "got no name for a folder"),
    "a name of ours": ([("a", {}), ("Compare.html", {})], "a file of the comparison has that name"),
    "another model": (
        [("a", {}), ("b", {"model": "vit_b"})],
        r"--try b: differs from a in model \(vit_b, lite\); all strategies work on the same features",
    ),
    "two differences": ([("a", {}), ("b", {"dtype": "float32", "stride": 3})], r"in stride \(3, 2\), dtype \(float32"),
    "other threads": ([("a", {}), ("b", {"threads_per_worker": 2})], "threads_per_worker"),
    "outputs": ([("a", {"outputs": ["masks"]}), ("b", {})], "--try a: compare has no use for the option outputs"),
}


@pytest.mark.parametrize(("named", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(named, message):
    with pytest.raises(ConfigError, match=message):
        check_contenders([contender(name, **options) for name, options in named])
