import pickle
import textwrap
from importlib import metadata

import pytest

from persamhq_video.errors import OutputError, PluginError
from persamhq_video.plugin import Register
from persamhq_video.plugin.manager import load_registry
from persamhq_video.plugin.sources import PluginSource, read_plugins


class Strategy:
    """Does one thing.

    And says more.
    """


class Picky:
    def __init__(self):
        raise ValueError("not today")


def source(text, name="p.py"):
    return PluginSource(name, "from persamhq_video.plugin import hookimpl\n" + textwrap.dedent(text))


SELECTOR = """
    class Mine: needs_history = False
    @hookimpl
    def persamhq_register_prompt_selectors(register): register.add("mine", Mine)
"""


class TestRegister:
    def test_makes_a_new_strategy_each_time(self):
        register = Register("thing")
        register.add("one", Strategy)
        assert isinstance(register.make("one"), Strategy)
        assert register.make("one") is not register.make("one")
        assert register.entry("one").summary == "Does one thing."

    def test_unknown_names_come_with_the_known_ones(self):
        register = Register("thing")
        register.add("cascade", Strategy)
        register.add("other", Strategy)
        with pytest.raises(
            PluginError, match=r"unknown thing 'cascad' \(did you mean 'cascade'\?\); known: cascade, oth"
        ):
            register.make("cascad")

    def test_nothing_known(self):
        with pytest.raises(PluginError, match="known: none"):
            Register("thing").make("x")

    def test_doubles_name_both_plugins(self):
        register = Register("thing")
        register.owner = "first"
        register.add("one", Strategy)
        register.owner = "second"
        with pytest.raises(PluginError, match="registered twice: by first and by second"):
            register.add("one", Strategy)

    @pytest.mark.parametrize("name", ["", "two words", "a/b"])
    def test_names_are_words(self, name):
        with pytest.raises(PluginError, match="use letters, digits"):
            Register("thing").add(name, Strategy)

    def test_factories_are_callable(self):
        with pytest.raises(PluginError, match="no factory"):
            Register("thing").add("one", 1)

    def test_a_factory_that_fails(self):
        register = Register("thing")
        register.add("picky", Picky)
        with pytest.raises(PluginError, match="cannot be made: not today"):
            register.make("picky")


class TestRegistry:
    def test_built_in_strategies(self):
        registry = load_registry()
        names = {entry.name for entry in registry.prompt_selectors.entries()}
        assert {"persam_video", "top_k_points"} <= names
        assert "cascade" in {entry.name for entry in registry.mask_refiners.entries()}

    def test_a_file_beside_them(self):
        registry = load_registry([source(SELECTOR)])
        entry = registry.prompt_selectors.entry("mine")
        assert entry.plugin == "p.py"
        assert "p.py" in registry.plugins

    def test_sources_travel(self):
        sent = pickle.loads(pickle.dumps(source(SELECTOR)))
        assert load_registry([sent], built_in=()).prompt_selectors.make("mine").needs_history is False

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("1 / 0", r"p.py cannot be loaded: ZeroDivisionError: division by zero"),
            ("def (", r"p.py cannot be loaded: SyntaxError"),
            ("@hookimpl\ndef persamhq_register_nothing(register): ...", r"unknown hook 'persamhq_register_nothing'"),
            (
                "@hookimpl\ndef persamhq_register_mask_refiners(register): register.ad('x', int)",
                r"p.py failed in persamhq_register_mask_refiners: AttributeError",
            ),
            (
                "@hookimpl\ndef persamhq_register_mask_refiners(registry): ...",
                r"for the argument 'registry' \(did you mean 'register'\?\); it has: register",
            ),
            ("def persamhq_register_mask_refiners(register): ...", r"without the marker; put @hookimpl above it"),
            (
                "import not_installed_anywhere",
                r"p.py cannot be loaded: it needs the module 'not_inst",
            ),
        ],
    )
    def test_broken_plugins(self, text, message):
        with pytest.raises(PluginError, match=message) as caught:
            load_registry([source(text)], built_in=())
        assert "\n" not in str(caught.value)

    def test_two_plugins_with_one_name(self):
        with pytest.raises(PluginError, match=r"'mine' is registered twice: by a.py and by b.py"):
            load_registry([source(SELECTOR, "a.py"), source(SELECTOR, "b.py")], built_in=())

    def test_the_same_plugin_twice(self):
        with pytest.raises(PluginError, match=r"p.py is named twice"):
            load_registry([source(SELECTOR), source(SELECTOR)], built_in=())

    def test_a_module_that_is_not_there(self):
        with pytest.raises(PluginError, match="no_such_module cannot be loaded: there is no module 'no_such_module'"):
            load_registry([PluginSource("no_such_module")], built_in=())

    @pytest.mark.parametrize("name", ["p.py", "persamhq_plugins.mask_refiners.cascade", "cascade"])
    def test_a_blocked_plugin_is_not_even_read(self, name):
        broken = source("1 / 0")
        blocked = [name, "p.py"]
        registry = load_registry([broken], blocked=blocked)
        assert "p.py" not in registry.plugins
        assert ("persamhq_plugins.mask_refiners.cascade" in registry.plugins) == (name == "p.py")

    def test_what_cannot_be_blocked(self):
        with pytest.raises(PluginError, match=r"cannot block the plugin 'cascad' \(did you mean 'casc"):
            load_registry(blocked=["cascad"])

    def test_an_installed_plugin_that_is_broken_is_named_with_its_package(self, monkeypatch):
        point = metadata.EntryPoint("theirs", "no_such_package.strategy", "persamhq_video")
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
        with pytest.raises(PluginError, match=r"the installed plugin theirs \(\?\)"):
            load_registry()
        assert "theirs" not in load_registry(blocked=["theirs"]).plugins

    def test_an_installed_plugin_that_is_named_too_is_there_once(self, monkeypatch):
        point = metadata.EntryPoint("theirs", "persamhq_plugins.mask_refiners.cascade", "persamhq_video")
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
        assert "theirs" not in load_registry().plugins

    def test_the_origin_of_a_plugin(self):
        text = source(SELECTOR)
        registry = load_registry([text])
        assert registry.origin("p.py") == text.sha256
        assert len(registry.origin("persamhq_plugins.mask_refiners.cascade")) == 64

    def test_observers(self, tmp_path):
        note = "(directory / 'note').write_text(record['status'])"
        registry = load_registry(
            [source(f"@hookimpl\ndef persamhq_run_finished(directory, record): {note}")], built_in=()
        )
        registry.run_finished(tmp_path, {"status": "complete"})
        assert (tmp_path / "note").read_text() == "complete"

    def test_an_observer_that_fails(self, tmp_path):
        registry = load_registry([source("@hookimpl\ndef persamhq_run_finished(directory): 1 / 0")], built_in=())
        with pytest.raises(OutputError, match="failed in persamhq_run_finished: ZeroDivisionError"):
            registry.run_finished(tmp_path, {})


class TestReadPlugins:
    def test_files_and_modules(self, plugin_file):
        file, module = read_plugins([str(plugin_file), "some.module"])
        assert file.text == plugin_file.read_text()
        assert len(file.sha256) == 64
        assert (module.name, module.text, module.sha256) == ("some.module", None, None)

    def test_missing_and_binary_files(self, tmp_path):
        with pytest.raises(PluginError, match="cannot read the plugin"):
            read_plugins([str(tmp_path / "none.py")])
        (tmp_path / "binary.py").write_bytes(b"\xff\xff")
        with pytest.raises(PluginError, match="is no Python text"):
            read_plugins([str(tmp_path / "binary.py")])
