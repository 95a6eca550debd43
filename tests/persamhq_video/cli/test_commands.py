"""Help, `plugins` and `doctor`."""

import re
import sys

import pytest

from persamhq_video.cli import main
from persamhq_video.cli.main import build_parser

pytestmark = pytest.mark.usefixtures("stand_in")


class TestHelp:
    def test_no_arguments(self, capsys):
        assert main([]) == 0
        assert "usage: persamhq-video" in capsys.readouterr().out

    def test_every_option_of_a_run_has_a_flag(self):
        from persamhq_video.config import RunConfig

        run_parser = build_parser()._subparsers._group_actions[0].choices["run"]
        flags = {action.dest for action in run_parser._actions}
        assert set(RunConfig.model_fields) <= flags

    def test_nothing_heavy_is_imported_for_help(self):
        import subprocess

        code = "import sys; from persamhq_video.cli.main import build_parser; build_parser(); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert not {"torch", "ray", "av", "cv2"} & set(done.stdout.split())


class TestPlugins:
    def test_list(self, plugin_file, capsys):
        assert main(["plugins", "list", "--plugin", str(plugin_file)]) == 0
        printed = capsys.readouterr().out
        assert "A selector of a single file.  [my_plugin.py]" in printed
        assert "cascade" in printed

    def test_show(self, plugin_file, capsys):
        assert main(["plugins", "show", "mine", "--plugin", str(plugin_file)]) == 0
        assert capsys.readouterr().out.startswith("mine: prompt selector of the plugin my_plugin.py\n")

    def test_show_an_unknown_one(self, capsys):
        assert main(["plugins", "show", "nobody"]) == 2
        assert "no strategy is named 'nobody'; known: " in capsys.readouterr().err

    def test_show_options(self, capsys):
        assert main(["plugins", "show", "top_k_points"]) == 0
        assert re.search(r"options:\n  num_positive +integer.* +default 1", capsys.readouterr().out)

    def test_show_without_options(self, capsys):
        assert main(["plugins", "show", "dense_prior"]) == 0
        assert capsys.readouterr().out.endswith("options: none\n")

    def test_block(self, capsys):
        assert main(["plugins", "list", "--block-plugin", "persamhq_plugins.nothing"]) == 2
        assert "cannot block the plugin 'persamhq_plugins.nothing'" in capsys.readouterr().err

    def test_new(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["plugins", "new", "my_strategy"]) == 0
        printed = capsys.readouterr().out
        assert "my_strategy/my_strategy/strategy.py" in printed
        assert f"next: pip install '{tmp_path / 'my_strategy'}[test]'" in printed


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for topic in ("python", "cores", "GPUs", "torch", "libavcodec", "weights of lite"):
        assert topic in printed
