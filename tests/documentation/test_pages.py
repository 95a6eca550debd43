"""Everything that pages name is there: files, modules, and the parts of files that links promise."""

import functools
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "persam_hq" / "weights" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = ("persam_hq", "persamhq_video", "plugins", "configs", "scripts", "tests", "docs")
MOST_WORDS = 900
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def without_blocks(page):
    """The text of a page, its code blocks left out."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def code_spans(page):
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_blocks(page))


@functools.cache
def anchors(page):
    """The anchors that GitHub and the site make of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?\)", without_blocks(page)):
        if target.startswith(("http://", "https://")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor[1:] in anchors(file), f"{target}{anchor}"


@every_page
def test_paths_are_there(page):
    for span in code_spans(page):
        (path, *_) = span.split() or [""]
        if path.split("/")[0] in FOLDERS and "/" in path and not re.search(r"[<>{}*]", path):
            assert (ROOT / path).exists(), span


@every_page
def test_paths_in_commands_are_there(page):
    blocks = re.findall(
        r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for path in re.findall(r"(?<![\w/.])(?:scripts|configs)/[\w/.]+", "\n".join(blocks)):
        assert (ROOT / path).exists(), path


@every_page
def test_modules_are_there(page):
    for span in code_spans(page):
        name = re.match(r"(?:persam_hq|persamhq_video|persamhq_plugins)(?:\.\w+)+", span)
        if name:
            assert is_named(name[0]), span


def is_named(name):
    """Whether a dotted name is a module, or something in one."""
    module, _, attribute = name.rpartition(".")
    try:
        if importlib.util.find_spec(name):
            return True
    except ModuleNotFoundError:
        pass
    return hasattr(importlib.import_module(module), attribute)


@every_page
def test_a_method_named_after_a_link_is_in_that_file(page):
    for target, kind, method in re.findall(r"\]\(([^)]+\.py)\), `(\w+)\.(\w+)`", page.read_text(encoding="utf-8")):
        code = (page.parent / target).read_text(encoding="utf-8")
        assert re.search(rf"^class {kind}\b", code, re.MULTILINE), f"{kind} in {target}"
        assert re.search(rf"^    def {method}\b", code, re.MULTILINE), f"{kind}.{method} in {target}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS
