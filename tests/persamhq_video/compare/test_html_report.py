"""The page: its content, and that it loads nothing from elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from persamhq_video.compare.disagreements import Disagreement
from persamhq_video.compare.html_report import Chart, Page, render_page
from persamhq_video.compare.svg_charts import Curve
from persamhq_video.compare.table import ComparisonTable, Row

PICTURE = "data:image/jpeg;base64,AAAA"


def row(name, spec="", *, j=None, f=None, track_ms=20.0):
    return Row(name, spec, j, f, (None, 0.5), 0.9, 0.75, 0.0, 0.125, track_ms)


def page(*, annotated=False, disagreements=1, specs=("", "--prompts <b> & more")):
    truth = {"j": 0.5, "f": 0.75} if annotated else {}
    rows = (row("near", specs[0], **truth), row("far", specs[1], track_ms=10.0, **truth))
    count = 4 if annotated else 3
    return Page(
        title="Strategies compared on <clip>.mp4",
        facts=("12 frames of 64x36", "2 objects"),
        command="persamhq-video compare '<clip>.mp4'",
        table=ComparisonTable(rows, encode_ms=80.0),
        charts=(Chart("Score, %", (Curve("#111111", [1, 2], [50.0, 60.0]), Curve("#222222", [1, 2], [5.0, 6.0]))),),
        last=11,
        disagreements=tuple(
            Disagreement(5 + n, f"{5 + n:05d}", 0.25, (PICTURE,) * count) for n in range(disagreements)
        ),
        is_annotated=annotated,
        poster=PICTURE,
    )


class Elements(HTMLParser):
    """The elements of a page, checked to be closed in the order in which they were opened."""

    EMPTY = frozenset({"meta", "img", "line", "polyline"})

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def all(self, tag):
        return [attributes for found, attributes in self.found if found == tag]


@pytest.mark.parametrize("annotated", [False, True])
def test_it_is_well_formed(annotated):
    elements = Elements(render_page(page(annotated=annotated)))
    assert len(elements.all("tr")) == 6
    assert len(elements.all("svg")) == 1
    assert len(elements.all("polyline")) == 2


def test_nothing_comes_from_elsewhere():
    elements = Elements(render_page(page(annotated=True)))
    addresses = [a[key] for _, a in elements.found for key in ("src", "href", "poster") if key in a]
    assert set(addresses) == {PICTURE, "side_by_side.mp4", "compare.csv"}
    assert not re.search(r"https?:|@import|url\(", render_page(page()))


def test_words_of_the_user_are_text():
    text = render_page(page())
    assert "&lt;clip&gt;.mp4" in text
    assert "--prompts &lt;b&gt; &amp; more" in text
    assert "<clip>" not in text
    assert "<b>" not in text


def test_the_best_is_marked():
    text = render_page(page())
    assert text.count('class="best"') == 1
    assert '<td class="best">10.0</td>' in text


def test_truth_is_spoken_of_where_there_is_any():
    assert "J&amp;F" not in render_page(page())
    assert "against the annotations" not in render_page(page())
    text = render_page(page(annotated=True))
    assert "<th>J&amp;F</th>" in text
    assert "<td>62.5</td>" in text
    assert "against the annotations" in text


@pytest.mark.parametrize(("annotated", "captions"), [(False, ["source"]), (True, ["source", "annotation"])])
def test_disagreements(annotated, captions):
    text = render_page(page(annotated=annotated, disagreements=2))
    assert re.findall(r"<figcaption>([^<]*)", text) == 2 * [*captions, "near", "far"]
    assert "Frame 6 (00006): the masks overlap by 25.0 %" in text


def test_without_disagreement():
    assert "Nowhere: all masks are the same." in render_page(page(disagreements=0))


def test_a_strategy_without_options_of_its_own():
    assert "the common options" in render_page(page())
    assert "the common options" not in render_page(page(specs=("--a", "--b")))
