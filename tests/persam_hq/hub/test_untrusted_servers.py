"""Servers that send something else than the file: pages, cut or endless answers, other addresses; and two at once."""

import dataclasses
import io
import json
import threading
import time
import zipfile
from urllib.request import Request

import pytest
from stand_ins.weights_bytes import safetensors

from persam_hq.errors import CheckpointError
from persam_hq.hub import download
from persam_hq.hub.download import _SafeRedirects
from persam_hq.hub.plausibility import largest_size, smallest_size, what_is_wrong

MEGABYTE = 1_000_000


def zipped(size):
    """A file in torch's format."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", bytes(size))
    return buffer.getvalue()


def left_over(cache):
    return [path.name for path in cache.folder.iterdir() if not path.name.endswith(".lock")]


WHOLE = safetensors(bytes(3 * MEGABYTE))
WRONG = {
    "a login page": (b"<!DOCTYPE html><title>Log in</title>", "of 3.6e-05 MB, expected about 3.1"),
    "a page as large as the file": (b"<!DOCTYPE html>" + b" " * 3 * MEGABYTE, "not a whole weights file"),
    "half of it": (WHOLE[: len(WHOLE) // 2], "of 1.5 MB, expected about 3.1"),
    "all but the end": (WHOLE[:-1000], "not a whole weights file"),
    "a zip file without its end": (zipped(3 * MEGABYTE)[:-200], "not a whole weights file"),
    "nothing": (b"", "of 0 MB"),
    "a header that nests": (
        (2 * MEGABYTE).to_bytes(8, "little") + b'{"a":' + b"[" * 3 * MEGABYTE,
        "not a whole weights file",
    ),
    "a header without offsets": (
        (20).to_bytes(8, "little") + json.dumps({"w": {"dtype": 1}}).encode().ljust(3 * MEGABYTE),
        "not a whole weights file",
    ),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_without_a_published_sum_only_a_whole_file_is_taken(server, cache, entry, content, message):
    server.content, server.knows_length = content, False
    with pytest.raises(CheckpointError, match=f"{message}.*; it was removed; is there a login") as caught:
        download(entry, cache)
    assert "\n" not in str(caught.value)
    assert left_over(cache) == []


@pytest.mark.parametrize("content", [WHOLE, zipped(3 * MEGABYTE)])
def test_a_whole_file_is_taken(server, cache, entry, content):
    server.content, server.knows_length = content, False
    assert download(entry, cache).read_bytes() == content


def test_a_page_put_there_by_hand_is_not_recorded(cache, entry):
    cache.folder.mkdir()
    cache.path(entry).write_bytes(b"<html>Log in")
    with pytest.raises(CheckpointError, match=r"weights.pth is of 1.2e-05 MB, expected about 3.1; remove it"):
        cache.verified(entry)
    assert left_over(cache) == ["weights.pth"]


@pytest.mark.parametrize("name", ["entry", "known"])
@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/xhtml+xml"])
def test_a_page_is_told_by_its_type(request, server, cache, name, kind):
    server.kind = kind
    with pytest.raises(CheckpointError, match="answered with a web page instead of the file"):
        download(request.getfixturevalue(name), cache)
    assert left_over(cache) == []


@pytest.mark.parametrize("name", ["entry", "known"])
@pytest.mark.parametrize("knows_length", [True, False])
def test_far_more_than_was_published_is_stopped(request, server, cache, name, knows_length):
    server.content, server.knows_length, told = bytes(40 * MEGABYTE), knows_length, []
    entry = request.getfixturevalue(name)
    with pytest.raises(CheckpointError, match=r"sends \d+ MB or more, expected about 3.1; it was stopped and removed"):
        download(entry, cache, progress=lambda done, _: told.append(done))
    assert max(told, default=0) <= largest_size(entry)
    assert left_over(cache) == []


def test_the_rest_of_a_download_is_stopped_too(server, cache, known):
    cache.folder.mkdir()
    (cache.folder / "known.pth.part").write_bytes(server.content)
    server.content, server.knows_length = server.content + bytes(40 * MEGABYTE), False
    with pytest.raises(CheckpointError, match="it was stopped and removed"):
        download(known, cache)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://a.org/w", "http://a.org/w"),
        ("https://a.org/w", "ftp://a.org/w"),
        ("http://a.org/w", "ftp://a.org/w"),
    ],
)
def test_a_redirect_to_less_than_https_is_refused(old, new):
    with pytest.raises(CheckpointError, match=f"{old} redirects to {new}, which is not encrypted; it was not followed"):
        _SafeRedirects().redirect_request(Request(old), io.BytesIO(), 302, "Found", {}, new)


@pytest.mark.parametrize(
    ("old", "new"), [("https://a", "https://b"), ("http://a", "http://b"), ("http://a", "https://b")]
)
def test_other_redirects_are_followed(old, new):
    assert _SafeRedirects().redirect_request(Request(old), io.BytesIO(), 302, "Found", {}, new).full_url == new


def test_two_at_once_both_have_it(server, cache, known):
    server.pause, waited, errors = 0.5, [], []

    def fetch():
        try:
            assert download(known, cache, waiting=lambda: waited.append(1)).read_bytes() == server.content
        except BaseException as exc:  # noqa: BLE001 - whatever it is
            errors.append(exc)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert errors == []
    assert (waited, server.asked) == ([1], [None])


def test_one_that_fails_lets_the_next_one_go_on(server, cache, known):
    server.cut = MEGABYTE
    with pytest.raises(CheckpointError, match="goes on where it stopped"):
        download(known, cache)
    assert download(known, cache, waiting=lambda: pytest.fail("nobody holds the lock")).is_file()


@pytest.mark.parametrize("megabytes", [0.1, 16.3, 42.5, 375, 2565])
def test_sizes_are_rounded_ones(entry, megabytes):
    entry = dataclasses.replace(entry, megabytes=megabytes)
    assert smallest_size(entry) < megabytes * 0.97 * MEGABYTE
    assert megabytes * 1.03 * MEGABYTE < largest_size(entry) < megabytes * 2 * MEGABYTE


def test_what_is_as_published_is_not_wrong(entry, tmp_path):
    path = tmp_path / "w"
    path.write_bytes(WHOLE)
    assert what_is_wrong(entry, path) is None
