import json
import os
from pathlib import Path

import pytest

from persam_hq.errors import CheckpointError
from persam_hq.hub import FOLDER_VARIABLE, PUBLISHED, cached_path, default_folder, download
from persam_hq.hub import cache as cache_module


def tamper(path):
    """Change one byte, later than the file was recorded."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


@pytest.mark.parametrize(("name", "kind"), [("entry", "downloaded"), ("known", "published")])
def test_a_file_that_was_changed_is_refused(request, cache, name, kind):
    entry = request.getfixturevalue(name)
    path = download(entry, cache)
    tamper(path)
    message = rf"is not what was {kind}: its SHA-256 is .*, expected .*; remove it and run .*download {entry.name}`"
    with pytest.raises(CheckpointError, match=message):
        cache.verified(entry)
    with pytest.raises(CheckpointError, match=message):
        download(entry, cache)
    path.unlink()
    assert download(entry, cache) == path


def test_a_file_cut_short_is_refused(cache, entry):
    path = download(entry, cache)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is not what was downloaded"):
        cache.verified(entry)


def test_a_file_is_read_again_only_if_it_was_touched(cache, entry, monkeypatch):
    path, read = download(entry, cache), []
    sha256_of = cache_module.sha256_of
    monkeypatch.setattr(cache_module, "sha256_of", lambda path: [read.append(path), sha256_of(path)][1])
    cache.verified(entry)
    assert read == []
    os.utime(path)
    cache.verified(entry)
    cache.verified(entry)
    assert read == [path]


def test_a_file_put_there_by_hand_is_recorded(server, cache, entry, known):
    cache.folder.mkdir()
    for each in (entry, known):
        cache.path(each).write_bytes(server.content)
        assert cache.verified(each) == cache.path(each)
        assert json.loads((cache.folder / f"{each.file}.json").read_text())["sha256"] == known.sha256
    cache.path(known).write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="is not what was published"):
        cache.verified(known)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"sha256": "0"}'])
def test_a_record_that_cannot_be_read(cache, entry, content):
    download(entry, cache)
    (cache.folder / "weights.pth.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"cannot read the record .*.json: .*; remove it and weights.pth"):
        cache.verified(entry)


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {FOLDER_VARIABLE: "/here"}, "/here"),
        ("darwin", {FOLDER_VARIABLE: "/here"}, "/here"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/persam-hq"),
        ("linux", {}, "/home/someone/.cache/persam-hq"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/someone/.cache/persam-hq"),
        ("darwin", {}, "/home/someone/Library/Caches/persam-hq"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/persam-hq/Cache"),
    ],
)
def test_where_the_cache_is(monkeypatch, platform, variables, folder):
    for name in (FOLDER_VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setattr("sys.platform", platform)
    assert default_folder() == Path(folder)


def test_a_name_means_the_file_in_the_cache(cache, entry, monkeypatch, tmp_path):
    monkeypatch.setattr(cache_module, "PUBLISHED", {entry.name: entry})
    with pytest.raises(CheckpointError, match=r"small is not in .* yet; run `persam-hq checkpoints download small`"):
        cached_path("small")
    path = download(entry, cache)
    assert cached_path("small") == cached_path(Path("small")) == path
    monkeypatch.chdir(tmp_path)
    Path("small").write_bytes(b"one's own")
    assert cached_path("small") == Path("small")
    tamper(path)
    Path("small").unlink()
    with pytest.raises(CheckpointError, match="is not what was downloaded"):
        cached_path("small")


def test_other_paths_stay(cache):
    assert cached_path("weights/sam_vit_b.pth") == Path("weights/sam_vit_b.pth")
    assert not cache.has(PUBLISHED["sam_vit_b"])
