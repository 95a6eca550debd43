"""Text as it may be shown: URLs without secrets, and no character that a terminal acts on."""

import json

import pytest

from persam_hq.io.text.shown_text import json_line, printable, redact_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:SECRET@cam/1", "rtsp://user:***@cam/1"),
        ("rtsp://user:SE@CR@ET@cam:554/1", "rtsp://user:***@cam:554/1"),
        ("rtsp://SECRET@cam/1", "rtsp://***@cam/1"),
        ("rtsp://SECRET:@cam/1", "rtsp://***@cam/1"),
        ("https://ghp_0123456789abcdefghij:x-oauth-basic@host/1", "https://***@host/1"),
        ("rtsp://user:SE CRET@cam/1", "rtsp://user:***@cam/1"),
        ("rtsp://user:SE/CRET@cam/1", "rtsp://user:***@cam/1"),
        ("rtsp://user:SE#CR?ET@cam/1", "rtsp://user:***@cam/1"),
        ("RTSP://user:SECRET@[::1]:554/1", "RTSP://user:***@[::1]:554/1"),
        ("http:/user:SECRET@cam/1", "http:/user:***@cam/1"),
        (
            "cannot open 'http://u:SECRET@h/x': no; http://v:SECRET@g/y",
            "cannot open 'http://u:***@h/x': no; http://v:***@g/y",
        ),
        ("http://h/x.ts?token=SECRET", "http://h/x.ts?token=***"),
        ("http://h/x.ts?channel=2&api_key=SECRET&w=640#frag", "http://h/x.ts?channel=2&api_key=***&w=640#***"),
        ("http://h/x.ts?SECRET", "http://h/x.ts?***"),
        ("http://h/x.ts;jsessionid=SECRET", "http://h/x.ts;jsessionid=***"),
        (
            "http://h/x?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET",
            "http://h/x?X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        ("srt://h:9000?mode=caller&passphrase=SECRET", "srt://h:9000?mode=caller&passphrase=***"),
        ("http://h/x?v=0123456789abcdef01234567", "http://h/x?v=***"),
        ("http://u:SECRET@h/x?token=SECRET", "http://u:***@h/x?token=***"),
    ],
)
def test_secrets_of_urls(text, shown):
    assert redact_secrets(text) == shown
    assert redact_secrets(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "clip.mp4",
        "/data/a@b/clip.mp4",
        "me@example.org",
        "C:/clips/a@b.mp4",
        "http://host/@name/clip.mp4",
        "http://host:8080/live/1.ts?channel=2&start=40",
        "udp://239.0.0.1:1234",
        "camera:0",
    ],
)
def test_what_holds_no_secret_stays(text):
    assert redact_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\x9b31mb", r"a\x9b31mb"),
        ("a\rb\nc\x07", r"a\rb\nc\x07"),
        ("gpj.\u202efdp", r"gpj.\u202efdp"),
        ("line\u2028end", r"line\u2028end"),
        ("caf\udce9.mp4", r"caf\udce9.mp4"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ],
)
def test_characters_that_act(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["plain", "Größe 日本", "9.41\u202fAM\xa0x", "👨\u200d👩\u200d👧", "क\u200cष"])
def test_words_of_all_scripts_stay(text):
    assert printable(text) == text


def test_what_is_kept_is_kept():
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_line_of_json_is_safe_and_means_the_same(ascii_only):
    content = {"video": "caf\udce9 \x9b2J \u202e é 日 \U000e0041", "list": ["http://u:SECRET@h/x"], "n": {"a": None}}
    line = json_line(content, ascii_only=ascii_only)
    assert printable(line) == line
    assert json.loads(line) == content | {"list": ["http://u:***@h/x"]}
    assert ascii_only == line.isascii()


@pytest.mark.parametrize("name", ["pw", "pwd", "psw", "camera_pw"])
def test_short_names_of_passwords(name):
    assert redact_secrets(f"rtsp://admin:x@h:1/ch?{name}=abc&n=1") == f"rtsp://admin:***@h:1/ch?{name}=***&n=1"
