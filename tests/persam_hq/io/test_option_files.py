import json
import re
import tracemalloc
from pathlib import Path

import pytest

from persam_hq.io.text.option_files import parse_json, parse_yaml, read_small_text

TEN = "[x, x, x, x, x, x, x, x, x, x]"
LAUGHS = "\n".join([f"a0: &a0 {TEN}", *(f"a{i}: &a{i} {TEN.replace('x', f'*a{i - 1}')}" for i in range(1, 9))])
MERGES = f"a: &a {{k: 1}}\nb: &b {{<<: [{', '.join(['*a'] * 3000)}]}}\nc: {{<<: [*b, *b, *b, *b]}}"

REFUSED = {
    "aliases of aliases": (LAUGHS, "more than 10,000 values"),
    "merged aliases": (MERGES, "more than 10,000 values"),
    "values": ("\n".join(f"k{i}: 1" for i in range(6000)), "more than 10,000 values"),
    "an alias of itself": ("a: &a [*a]", "the alias *a stands inside of what it stands for"),
    "brackets": ("a: " + "[" * 10_000, "nested more than 64 levels deep"),
    "braces": ("{a: " * 50_000, "nested more than 64 levels deep"),
    "indents": ("".join(f"{' ' * i}a:\n" for i in range(100)), "nested more than 64 levels deep"),
    "dashes": ("- " * 100_000, "nested more than 64 levels deep"),
    "digits": ("a: " + "9" * 5000, "a number has 5,000 characters, more than 64"),
    "hexadecimal digits": ("a: 0x" + "f" * 10_000, "a number has 10,002 characters"),
    "sexagesimal digits": ("a: " + ":".join(["1"] * 20_000), "a number has 39,999 characters"),
    "decimals": ("a: " + "1" * 5000 + ".5", "a number has 5,002 characters"),
    "no date": ("a: 2001-99-99", "month must be in 1..12"),
    "no number": ('a: !!int ""', "a value is not what its tag says"),
    "no truth": ("a: !!bool maybe", "a value is not what its tag says"),
    "no YAML": ("a: [", "expected the node content"),
    "a call": ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_yaml_that_grows_is_refused_in_one_line(case):
    text, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


def test_aliases_take_no_memory():
    tracemalloc.start()
    with pytest.raises(ValueError, match="aliases count"):
        parse_yaml(LAUGHS)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_aliases_and_merges_of_an_honest_file():
    text = "first: &f {start: 1, refine: [a, b]}\nsecond: {<<: *f, start: 2}\nthird: *f\ntime: 1:30\nnone: ~\n"
    first = {"start": 1, "refine": ["a", "b"]}
    assert parse_yaml(text) == {
        "first": first,
        "second": {**first, "start": 2},
        "third": first,
        "time": 90,
        "none": None,
    }
    assert parse_yaml("") is None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "{", ""])
def test_json_that_python_refuses_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"^(?!$)"):
        parse_json(text)
    assert parse_json('{"a": [1]}') == {"a": [1]}


class TestReading:
    def test_up_to_the_limit(self, tmp_path):
        path = tmp_path / "list.csv"
        path.write_bytes(b"\xef\xbb\xbfvideo")
        assert read_small_text(path, most=8) == "video"
        with pytest.raises(ValueError, match="larger than 7 bytes"):
            read_small_text(path, most=7)

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of Unix")
    def test_a_device_without_an_end(self):
        with pytest.raises(ValueError, match="larger than 1,000 bytes"):
            read_small_text(Path("/dev/zero"), most=1000)

    def test_no_text(self, tmp_path):
        (tmp_path / "x").write_bytes(json.dumps("ä", ensure_ascii=False).encode("latin-1"))
        with pytest.raises(UnicodeDecodeError, match="invalid"):
            read_small_text(tmp_path / "x", most=100)
