import hashlib
import socket

import pytest
from stand_ins.weights_bytes import safetensors

from persam_hq.errors import CheckpointError
from persam_hq.hub import OFFLINE_VARIABLE, download

BLOCK = 1 << 20


def content_of(path):
    return path.read_bytes()


def left_over(cache):
    return sorted(path.name for path in cache.folder.iterdir() if "part" in path.name)


def test_a_file_is_downloaded_once(server, cache, entry):
    told = []
    path = download(entry, cache, progress=lambda done, total: told.append((done, total)))
    assert content_of(path) == server.content
    assert told[-1] == (len(server.content), len(server.content))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert download(entry, cache) == path
    assert server.asked == [None]
    assert left_over(cache) == []


@pytest.mark.parametrize("tag", ['"one"', 'W/"weak"', None])
def test_a_download_that_was_cut_off_goes_on(server, cache, known, tag):
    server.tag, server.cut = tag, 2 * BLOCK + 5
    with pytest.raises(CheckpointError, match=r"connection ended .*; the same command goes on where it stopped"):
        download(known, cache)
    assert not cache.has(known)
    begun = (cache.folder / "known.pth.part").stat().st_size
    assert 0 < begun <= 2 * BLOCK + 5
    assert content_of(download(known, cache)) == server.content
    assert server.asked == [None, f"bytes={begun}-"]
    assert left_over(cache) == []


def test_several_cuts(server, cache, known):
    for _ in range(2):
        server.cut = BLOCK
        with pytest.raises(CheckpointError, match="cannot download"):
            download(known, cache)
    assert content_of(download(known, cache)) == server.content
    assert len(server.asked) == 3


def test_a_server_without_ranges_sends_all_again(server, cache, known):
    server.cut, server.knows_ranges = BLOCK, False
    with pytest.raises(CheckpointError, match="cannot download"):
        download(known, cache)
    assert content_of(download(known, cache)) == server.content


def test_another_version_is_not_put_behind_the_first(server, cache, entry):
    server.cut = BLOCK
    with pytest.raises(CheckpointError, match="cannot download"):
        download(entry, cache)
    server.content, server.tag = safetensors(bytes(3 * BLOCK)), '"two"'
    assert content_of(download(entry, cache)) == server.content


def test_a_complete_part_only_gets_its_name(server, cache, known):
    cache.folder.mkdir()
    (cache.folder / "known.pth.part").write_bytes(server.content)
    assert content_of(download(known, cache)) == server.content
    assert server.asked == [f"bytes={len(server.content)}-"]


def test_a_part_that_is_too_long_is_begun_anew(server, cache, known):
    cache.folder.mkdir()
    (cache.folder / "known.pth.part").write_bytes(server.content + b"more")
    assert content_of(download(known, cache)) == server.content
    assert server.asked[-1] is None


def test_a_server_that_sends_another_range_is_not_believed(server, cache, known):
    server.cut = BLOCK
    with pytest.raises(CheckpointError, match="cannot download"):
        download(known, cache)
    server.wrong_range = True
    with pytest.raises(CheckpointError, match=r"asked for the bytes from \d+ on, the server sent bytes \d+-"):
        download(known, cache)
    assert content_of(download(known, cache)) == server.content


def test_a_server_that_says_no_length(server, cache, known):
    server.knows_length = False
    assert content_of(download(known, cache)) == server.content


def test_what_was_not_published_is_not_kept(server, cache, known):
    server.content = server.content[:-1] + b"x"
    with pytest.raises(
        CheckpointError, match=r"sent is not what was published: its SHA-256 is .*; it was removed"
    ) as got:
        download(known, cache)
    assert hashlib.sha256(server.content).hexdigest() in str(got.value)
    assert [path.name for path in cache.folder.iterdir()] == [".known.pth.lock"]


@pytest.mark.parametrize(("status", "said"), [(404, "HTTP 404 Not Found"), (503, "HTTP 503 Service Unavailable")])
def test_a_server_that_refuses(server, cache, entry, status, said):
    server.status = status
    with pytest.raises(CheckpointError, match=rf"cannot download http://127.0.0.1:\d+/weights.pth: {said}; the same"):
        download(entry, cache)


def test_no_network(server, cache, entry):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    gone = type(entry)(
        **{name: getattr(entry, name) for name in entry.__slots__} | {"url": f"http://127.0.0.1:{port}/w"}
    )
    with pytest.raises(CheckpointError, match=r"cannot download .*Connection refused"):
        download(gone, cache)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline(server, cache, known, monkeypatch, by):
    if by == "environment":
        monkeypatch.setenv(OFFLINE_VARIABLE, "1")
    message = r"known is not in .*, and the network is switched off; put known.pth from http.* there, or run without"
    with pytest.raises(CheckpointError, match=message):
        download(known, cache, offline=by == "argument")
    assert server.asked == []
    cache.folder.mkdir()
    cache.path(known).write_bytes(server.content)
    assert download(known, cache, offline=by == "argument") == cache.path(known)


def test_zero_does_not_switch_the_network_off(server, cache, entry, monkeypatch):
    monkeypatch.setenv(OFFLINE_VARIABLE, "0")
    assert download(entry, cache).is_file()


def test_a_folder_that_cannot_be_made(cache, entry):
    cache.folder.write_text("a file")
    with pytest.raises(CheckpointError, match=r"cannot download .*File exists"):
        download(entry, cache)
