import hashlib
import os

import pytest

from persam_hq.io.atomic import atomic_write, commit, discard, move_into_place, part_path, read_limited, sha256_of


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


class TestSomebodyElsesFolder:
    """Names that the tool is about to use are taken already, by links that lead elsewhere or by no file at all."""

    @pytest.fixture
    def precious(self, tmp_path):
        (tmp_path / "precious").write_text("mine")
        (tmp_path / "out").mkdir()
        return tmp_path / "precious"

    @pytest.mark.parametrize("link", [os.symlink, os.link])
    @pytest.mark.parametrize("name", [".a.csv.part", "a.csv"])
    def test_a_link_is_not_followed(self, precious, link, name):
        out = precious.with_name("out")
        link(precious, out / name)
        atomic_write(out / "a.csv", b"new")
        assert precious.read_text() == "mine"
        assert [(file.name, file.read_bytes(), file.is_symlink()) for file in out.iterdir()] == [
            ("a.csv", b"new", False)
        ]

    def test_a_folder_in_the_way_is_told(self, precious):
        (precious.with_name("out") / ".a.csv.part").mkdir()
        with pytest.raises(OSError, match=r"\.a\.csv\.part"):
            atomic_write(precious.with_name("out") / "a.csv", b"new")

    @pytest.mark.timeout(20)
    def test_what_is_no_file_is_not_read(self, precious):
        out = precious.with_name("out")
        (out / "link").symlink_to(precious)
        os.mkfifo(out / "pipe")
        with (out / "sparse").open("wb") as file:
            file.truncate(1 << 40)
        assert read_limited(precious, limit=10) == b"mine"
        for name in ("link", "pipe", "sparse", "."):
            with pytest.raises(OSError, match=r"symbolic|regular|expected at most 10"):
                read_limited(out / name, limit=10)


@pytest.mark.parametrize("name", ["é" * 125 + ".png", "n" * 255, os.fsdecode(b"\xe9" * 250)])
def test_names_as_long_as_a_file_system_allows(tmp_path, name):
    atomic_write(tmp_path / name, b"x")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert len(os.fsencode(part_path(tmp_path / name).name)) < 100
