"""JSON and YAML that Python's parsers refuse, or take too much for."""

import os

import pytest

from persam_hq.io import documents
from persam_hq.io.documents import parse_json, parse_yaml, read_document

BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nests too deep"),
        ('{"a":' * 100_000, "nests too deep"),
        ("1" * 5000, "4300"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
    ],
    ids=["lists", "mappings", "digits", "empty", "cut"],
)
def test_json_that_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 10_000, "nests too deep"),
        (BOMB, "with its aliases written out it has more than 100,000 values"),
        (MERGES, "with its aliases written out"),
        ("a: &a [*a]", "with its aliases written out"),
        ("a: &a {b: *a}", "with its aliases written out"),
        ("a: 1" + "0" * 5000, "4300"),
        ("a: 2024-99-99", "month must be in 1..12"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("[a]: b: c", "mapping values are not allowed"),
        ("? [a]\n: b", "unhashable"),
        ("a: b\n---\nc: d", "expected a single document"),
    ],
    ids=["lists", "aliases", "merges", "itself", "in itself", "digits", "date", "code", "two", "key", "documents"],
)
def test_yaml_that_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_what_is_in_order():
    assert parse_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    assert parse_yaml("base: &base {x: 1}\none: {<<: *base, y: 2}\n") == {"base": {"x": 1}, "one": {"x": 1, "y": 2}}
    assert parse_yaml("") is None


def test_a_file_is_read_as_far_as_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "d.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert parse_json(read_document(path)) == [1]
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 3)
    with pytest.raises(ValueError, match="it has more than 3e-06 MB"):
        read_document(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no device that never ends")  # noqa: PTH110 - no folder
def test_a_device_that_never_ends(monkeypatch):
    monkeypatch.setattr(documents, "LARGEST_DOCUMENT", 1000)
    with pytest.raises(ValueError, match="it has more than"):
        read_document(documents.Path("/dev/zero"))


def test_what_is_no_text(tmp_path):
    (tmp_path / "d").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="utf-8"):
        read_document(tmp_path / "d")
