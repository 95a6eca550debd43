import hashlib

import pytest

from persam_hq.io.atomic import atomic_write, commit, discard, move_into_place, part_path, sha256_of


def test_a_part_lies_beside_its_file_and_is_hidden(tmp_path):
    assert part_path(tmp_path / "a.csv") == tmp_path / ".a.csv.part"


def test_a_part_gets_its_name_or_is_removed(tmp_path):
    path = tmp_path / "a.csv"
    part_path(path).write_text("whole")
    commit(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.csv", "whole")]
    part_path(path).write_text("half")
    discard(path)
    discard(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.csv", "whole")]


def test_atomic_write_replaces_as_a_whole(tmp_path):
    path = tmp_path / "a" / "b.json"
    atomic_write(path, b"one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["b.json"]


def test_atomic_write_leaves_what_was_there_if_it_fails(tmp_path):
    path = tmp_path / "b.json"
    atomic_write(path, b"one")
    with pytest.raises(TypeError, match=r"bytes-like"):
        atomic_write(path, "not bytes")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("b.json", b"one")]


def test_a_file_gets_its_place(tmp_path):
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "a.txt").write_text("new")
    (tmp_path / "b.txt").write_text("old")
    move_into_place(tmp_path / "aside" / "a.txt", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "new"
    assert list((tmp_path / "aside").iterdir()) == []


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()
