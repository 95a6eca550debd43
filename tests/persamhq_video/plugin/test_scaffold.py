import tomllib
from pathlib import Path

import pytest

from persamhq_video.cli import main
from persamhq_video.errors import InputError, OutputError
from persamhq_video.plugin.manager import load_registry
from persamhq_video.plugin.scaffold import new_package
from persamhq_video.plugin.sources import PluginSource


def test_a_package_with_an_entry_point_a_test_and_a_readme(tmp_path):
    files = new_package("warm_box", tmp_path / "warm_box")
    assert [str(file.relative_to(tmp_path / "warm_box")) for file in files] == [
        "README.md",
        "warm_box/__init__.py",
        "warm_box/strategy.py",
        "pyproject.toml",
        "tests/test_strategy.py",
    ]
    project = tomllib.loads((tmp_path / "warm_box" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["persamhq_video"] == {"warm_box": "warm_box.strategy"}
    assert project["name"] == "warm-box"
    assert not any("$" in file.read_text() for file in files)


def test_the_first_steps_bring_what_they_need(tmp_path, monkeypatch, capsys):
    """A plain environment has no pytest: the package's extra brings it, on the page, in the README and in the hint."""
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "warm_box"]) == 0
    assert f"next: pip install '{tmp_path}/warm_box[test]'; pytest warm_box;" in capsys.readouterr().out
    project = tomllib.loads((tmp_path / "warm_box" / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["test"] == ["pytest"]
    page = Path(__file__).parents[3] / "docs" / "tutorial" / "first-plugin.md"
    for text, package in (
        (page.read_text(), "./my_strategy"),
        ((tmp_path / "warm_box" / "README.md").read_text(), "."),
    ):
        before, _, _ = text.partition("\npytest")
        assert f"pip install '{package}[test]'" in before


def test_its_strategy_is_a_plugin(tmp_path):
    *_, strategy, _, _ = new_package("warm_box", tmp_path / "new")
    registry = load_registry([PluginSource("warm_box.py", strategy.read_text())])
    assert type(registry.prompt_selectors.make("warm_box", {"margin": 3})).__name__ == "WarmBox"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Warm", "expected small letters"),
        ("warm-box", "expected small letters"),
        ("class", "expected small letters"),
        ("numpy", "a package named numpy is installed"),
        ("cascade", "a strategy named cascade is there already"),
    ],
)
def test_names_that_will_not_do(name, message, tmp_path):
    with pytest.raises(InputError, match=message):
        new_package(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "warm").mkdir()
    with pytest.raises(InputError, match="is there already; choose another name or --out"):
        new_package("warm", tmp_path / "warm")


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        new_package("warm", tmp_path / "file" / "warm")
