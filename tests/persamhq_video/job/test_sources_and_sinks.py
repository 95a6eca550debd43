"""Sources and sinks by name, and which source takes what."""

import subprocess
import sys
import textwrap

import pytest

from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError, InputError, PluginError
from persamhq_video.job.sources_and_sinks import load_endpoints
from persamhq_video.plugin.sources import PluginSource


def endpoints(*texts):
    head = "from persamhq_video.plugin import hookimpl\n"
    sources = [PluginSource(f"p{i}.py", head + textwrap.dedent(text)) for i, text in enumerate(texts)]
    return load_endpoints(tuple(sources))


def source(name, accepts, opens="return 'opened'"):
    return f"""
    class Kind:
        is_live = False
        def accepts(self, text): {accepts}
        def open(self, request): {opens}
    @hookimpl
    def persamhq_register_frame_sources(register): register.add("{name}", Kind)
    """


SLIDES = source("slides", "return text.endswith('.slides')")


class TestSources:
    @pytest.mark.parametrize(
        ("text", "name"), [("rtsp://host/a", "stream"), (".", "folder"), (__file__, "video"), ("a.slides", "slides")]
    )
    def test_the_first_that_takes_it(self, text, name):
        assert endpoints(SLIDES).choose_source(None, text)[0] == name

    def test_a_plugin_comes_before_the_built_in_ones(self):
        assert endpoints(source("mine", "return True")).choose_source(None, ".")[0] == "mine"

    def test_two_that_take_it(self):
        both = endpoints(source("one", "return True"), source("two", "return True"))
        with pytest.raises(
            PluginError, match=r"x: .*'one' \(p0.py\) and 'two' \(p1.py\) both take it; .*--source NAME"
        ):
            both.choose_source(None, "x")
        assert both.choose_source("two", "x")[0] == "two"

    def test_a_name_that_is_not_known(self):
        with pytest.raises(PluginError, match=r"unknown frame source 'vidoe' \(did you mean 'video'\?\)"):
            endpoints().choose_source("vidoe", "x")

    @pytest.mark.parametrize(
        ("text", "message"),
        [("none.mp4", "no such file or folder"), ("ftp://x/y", "no frame source takes it; known: f")],
    )
    def test_nobody_takes_it(self, text, message):
        with pytest.raises(InputError, match=message):
            endpoints().choose_source(None, text)

    @pytest.mark.parametrize(
        ("chosen", "text", "taken"),
        [
            (None, "clips/*.mp4", False),
            (None, "udp://host:1", True),
            (None, "talk.slides", True),
            ("video", "clips/*.mp4", False),
            ("folder", "talk.slides", False),
            ("slides", "clips/*.mp4", True),
        ],
    )
    def test_what_is_no_path_to_search(self, chosen, text, taken):
        assert endpoints(SLIDES).takes_text(chosen, text) is taken

    def test_what_is_opened(self):
        kinds = endpoints(
            source("mine", "return True", "raise ValueError(request.text, request.window.end, request.reader)")
        )
        with pytest.raises(InputError, match=r"ValueError: \('abc', 4, 'decord'\)"):
            kinds.open_source(make_config({"end": 4, "reader": "decord"}), "abc")

    def test_one_that_fails(self):
        kinds = endpoints(source("mine", "return True", "raise OSError('no\\nway')"))
        with pytest.raises(
            InputError, match=r"abc: the frame source 'mine' \(plugin p0.py\) failed to open it: OSError: no way"
        ):
            kinds.open_source(make_config({}), "abc")

    def test_one_that_fails_to_look(self):
        with pytest.raises(PluginError, match=r"'mine' of plugin p0.py failed to look at abc: ZeroDivisionError"):
            endpoints(source("mine", "return 1 / 0")).takes_text(None, "abc")

    def test_what_is_no_source(self):
        text = """
        class Half:
            def open(self, request): ...
        @hookimpl
        def persamhq_register_frame_sources(register): register.add("half", Half)
        """
        with pytest.raises(PluginError, match=r"'half' of plugin p0.py is a Half; expected is_live, accepts\(text\)"):
            endpoints(text).choose_source("half", "x")


class TestSinks:
    def test_each_once(self):
        assert list(endpoints().make_sinks(["scores", "rle", "scores"])) == ["scores", "rle"]

    def test_a_name_that_is_not_known(self):
        with pytest.raises(
            ConfigError, match=r"option outputs: unknown result sink 'overlai' \(did you mean 'overlay'\?\)"
        ):
            endpoints().make_sinks(["masks", "overlai"])

    def test_what_is_no_sink(self):
        text = """
        class Half:
            def files(self, video): return ()
        @hookimpl
        def persamhq_register_result_sinks(register): register.add("half", Half)
        """
        with pytest.raises(
            PluginError, match=r"'half' of plugin p0.py is a Half; expected needs_pictures, files\(video\)"
        ):
            endpoints(text).make_sinks(["half"])


class TestBlocked:
    def test_a_sink_and_a_source(self):
        kinds = load_endpoints((), ("rle", "persamhq_plugins.frame_sources.stream", "cascade"))
        with pytest.raises(ConfigError, match="unknown result sink 'rle'"):
            kinds.make_sinks(["rle"])
        assert not kinds.takes_text(None, "rtsp://host/a")

    def test_what_is_not_there(self):
        with pytest.raises(PluginError, match="cannot block the plugin 'rlee'"):
            load_endpoints((), ("rlee",))


def test_only_other_peoples_plugins_make_another_run():
    kinds = endpoints(source("mine", "return text == 'x'"))
    (name,) = kinds.origins(make_config({}), "x")
    assert name == "p0.py"
    assert kinds.origins(make_config({"outputs": ["rle"]}), ".") == {}


def test_without_torch():
    """So that wrong names and paths are told at once."""
    code = "import sys; from persamhq_video.job.sources_and_sinks import load_endpoints as l;"
    code += "l().make_sinks(['rle', 'overlay']);"
    code += "l().choose_source(None, '.'); sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
