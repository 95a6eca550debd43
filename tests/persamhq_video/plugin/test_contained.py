"""Plugins that end in other ways than by an Exception: at import, in a hook, in a factory, in an option."""

import textwrap

import pytest

from persamhq_video.errors import PluginError
from persamhq_video.plugin.manager import load_registry
from persamhq_video.plugin.sources import PluginSource

HOOK = """
    from persamhq_video.plugin import hookimpl
    import sys
    class Own(BaseException): pass
    @hookimpl
    def persamhq_register_prompt_selectors(register):
"""
FACTORY = """
    from persamhq_video.plugin import hookimpl
    import sys
    class Mine:
        def __init__(self): {what}
    @hookimpl
    def persamhq_register_prompt_selectors(register): register.add("mine", Mine)
"""


def load(text):
    return load_registry((PluginSource("script.py", textwrap.dedent(text)),), built_in=())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import sys; sys.exit(0)", r"it called sys\.exit\(0\) as it was imported; put what it runs under"),
        ("import sys; sys.exit('usage: script FILE')", r"it called sys\.exit\('usage: script FILE'\)"),
        ("raise SystemExit", r"it called sys\.exit\(None\)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class Own(BaseException): pass\nraise Own('x')", "Own: x"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def f(): f()\nf()", "RecursionError"),
    ],
)
def test_at_import(text, reason):
    with pytest.raises(PluginError, match=rf"^the plugin script\.py cannot be loaded: {reason}"):
        load(text)


@pytest.mark.parametrize("what", ["sys.exit(0)", "raise Own('out')", "raise KeyboardInterrupt"])
def test_in_a_register_hook(what):
    with pytest.raises(PluginError, match=r"^the plugin script\.py failed in persamhq_register_prompt_selectors: "):
        load(f"{HOOK}        {what}")


@pytest.mark.parametrize("what", ["sys.exit(0)", "raise KeyboardInterrupt", "raise GeneratorExit"])
def test_in_a_factory(what):
    registry = load(FACTORY.format(what=what))
    with pytest.raises(PluginError, match=r"'mine' of plugin script\.py cannot be made: "):
        registry.prompt_selectors.make("mine")


def test_in_the_check_of_an_option():
    text = """
        from typing import Annotated
        import sys
        from pydantic import AfterValidator
        from persamhq_video.plugin import hookimpl
        class Mine:
            def __init__(self, *, size: Annotated[int, AfterValidator(lambda value: sys.exit(value))] = 1): pass
        @hookimpl
        def persamhq_register_prompt_selectors(register): register.add("mine", Mine)
    """
    with pytest.raises(
        PluginError, match=r"the options of .*'mine' of plugin script\.py cannot be read: it called sys"
    ):
        load(text).prompt_selectors.make("mine", {"size": 2})


def test_a_docstring_that_is_no_text():
    text = """
        from persamhq_video.plugin import hookimpl
        class Mine: __doc__ = 7
        @hookimpl
        def persamhq_register_prompt_selectors(register): register.add("mine", Mine)
    """
    (entry,) = load(text).prompt_selectors.entries()
    assert entry.summary == "7"
