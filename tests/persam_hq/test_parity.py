"""Every golden value, one test each: what the published implementations compute on the same input and weights."""

from functools import cache

import pytest
from golden.checks import check
from golden.outputs import MODELS, golden, outputs

FILES = (*MODELS, "resize")
# Two images through ViT-B take most of a minute on one core.
SLOW = {"vit_b": pytest.mark.slow}
KEYS = [pytest.param(name, key, marks=SLOW.get(name, ()), id=f"{name}-{key}") for name in FILES for key in golden(name)]


@pytest.fixture(scope="session")
def computed():
    """What this package computes, once a file and session."""
    return cache(outputs)


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_agrees_with_the_published_implementation(computed, name, key):
    got, want = computed(name)[key], golden(name)[key]
    check(key, got, want)


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in FILES])
def test_nothing_is_computed_beside_the_golden_values(computed, name):
    assert set(computed(name)) == set(golden(name))
