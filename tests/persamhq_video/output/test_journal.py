"""The journal: torn tails and lines of another form are dropped, counts are exact."""

import dataclasses
import os
import threading
from fractions import Fraction

import pytest

from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.output.journal import CommittedFrame, Journal, JournalHead, read_head

IDENTITY = {"config": {"model": "lite"}}


def frame(index, *, crc=7):
    rows = f"{index},0,1/25\n"
    return CommittedFrame(
        index=index, name=f"ü{index}", pts=index, time_base=Fraction(1, 25), ticks=index, crc=crc, rows=rows
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".persamhq" / "ledger.jsonl"


def opened(path):
    journal = Journal(path)
    journal.open(IDENTITY, schema="states 1")
    return journal


def write(path, frames):
    journal = opened(path)
    for index in frames:
        journal.begin("encode", index)
        journal.begin("track", index)
        journal.commit(frame(index))
    journal.close()


def test_what_was_committed_is_read_back(path):
    write(path, range(3))
    journal = opened(path)
    assert list(journal.frames()) == [frame(0), frame(1), frame(2)]
    assert list(journal.frames(2)) == [frame(0), frame(1)]
    assert journal.committed(1) == frame(1)
    assert journal.committed(3) is None
    assert (dict(journal.begun), journal.attempts) == ({"encode": 3, "track": 3}, 2)
    journal.close()


def test_the_last_word_on_a_frame_counts(path):
    write(path, range(3))
    journal = opened(path)
    journal.commit(frame(1, crc=8))
    assert [entry.crc for entry in journal.frames()] == [7, 8, 7]
    journal.close()


def test_a_gap_ends_what_is_given_in_order(path):
    write(path, [0, 1, 3])
    journal = opened(path)
    assert [entry.index for entry in journal.frames()] == [0, 1]
    assert journal.committed(2) is None
    journal.close()


def test_wherever_it_is_torn_only_the_torn_line_is_lost(path):
    write(path, range(3))
    content = path.read_bytes()
    for length in range(content.index(b"\n") + 1, len(content)):
        path.write_bytes(content[:length])
        journal = opened(path)
        assert len(list(journal.frames())) == content[:length].count(b'"commit"') - (
            b'"commit"' in content[:length].rpartition(b"\n")[2]
        )
        journal.commit(frame(9))
        assert journal.committed(9) == frame(9)
        journal.close()
        assert path.read_bytes().startswith(content[:length].rpartition(b"\n")[0])


def test_what_a_power_failure_filled_with_zeros_is_dropped(path):
    write(path, range(2))
    with path.open("ab") as file:
        file.write(bytes(100) + b'\n{"begin":"track","frame":5}\n')
    journal = opened(path)
    assert journal.begun["track"] == 2
    journal.close()
    assert bytes(2) not in path.read_bytes()


def test_several_threads_begin(path):
    journal = opened(path)
    threads = [threading.Thread(target=lambda: [journal.begin("encode", i) for i in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for index in range(100):
        journal.commit(frame(index))
    for thread in threads:
        thread.join()
    journal.close()
    again = opened(path)
    assert again.begun["encode"] == 800
    assert len(list(again.frames())) == 100
    again.close()


def test_the_identity_is_told_without_opening(path):
    assert read_head(path) is None
    write(path, [])
    assert read_head(path) == JournalHead(IDENTITY, "states 1")
    path.write_bytes(b'{"attempt":1,"iden')
    assert read_head(path) is None


def test_the_head_of_a_version_that_named_no_schema(path):
    path.parent.mkdir()
    path.write_text('{"attempt":1,"format":1,"identity":{"config":{"model":"lite"}}}\n')
    assert read_head(path) == JournalHead(IDENTITY, None)


@pytest.mark.parametrize("line", ['{"attempt":1,"format":99,"identity":{}}', "{}"])
def test_a_ledger_of_another_version_is_refused(path, line):
    path.parent.mkdir()
    path.write_text(line + "\n")
    with pytest.raises(ConfigError, match="is not a ledger of this version"):
        read_head(path)


COMMIT = '{"commit":{"index":1,"name":"f","pts":0,"time_base":"1/25","ticks":0,"crc":7,"rows":""}}'


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "line",
    [
        '{"commit":{"index":1000000000}}',
        COMMIT.replace('"index":1', '"index":1000000000'),
        COMMIT.replace('"index":1', '"index":-1'),
        COMMIT.replace('"index":1', '"index":true'),
        COMMIT.replace('"index":1', '"index":1.5'),
        COMMIT.replace("1/25", "1e999999999"),
        COMMIT.replace("1/25", "1/0"),
        COMMIT.replace("1/25", "9" * 5000),
        COMMIT.replace('"name":"f"', '"name":"../../f"'),
        COMMIT.replace('"name":"f"', '"name":"/etc/passwd"'),
        COMMIT.replace('"rows":""', '"rows":[]'),
        COMMIT.replace('"crc":7', '"crc":1e999'),
        COMMIT.replace('"ticks":0', f'"ticks":{1 << 80}'),
        COMMIT.replace('"crc":7', '"crc":7,"more":1'),
        '{"commit":5}',
        '{"commit":{}}',
        '{"begin":[]}',
        '{"begin":"sleep","frame":1}',
        "{}",
        "[" * 100_000,
    ],
)
def test_a_line_that_no_run_writes_ends_what_is_read(path, line):
    write(path, range(3))
    sound = path.read_bytes()
    path.write_bytes(sound + line.encode() + b"\n" + b'{"begin":"track","frame":5}\n')
    journal = opened(path)
    assert (len(list(journal.frames())), journal.begun["track"]) == (3, 3)
    assert len(journal._offsets) < 10
    journal.close()
    assert path.read_bytes().startswith(sound)
    assert line.encode() not in path.read_bytes()


def test_the_table_of_frames_is_never_larger_than_the_file(path):
    write(path, [])
    size = path.stat().st_size
    for index, is_taken in ((size // 8, True), (size // 8 + 1, False)):
        write(path, [])
        with path.open("r+") as file:
            file.truncate(size)
        with path.open("a") as file:
            file.write(COMMIT.replace('"index":1', f'"index":{index}') + "\n")
        journal = opened(path)
        assert (journal.committed(index) is not None) == is_taken
        journal.close()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["symlink", "pipe", "sparse"])
def test_a_journal_that_is_no_file_of_a_run(path, tmp_path, kind):
    path.parent.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    if kind == "symlink":
        path.symlink_to(precious)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"")
        os.truncate(path, 1 << 40)
    if kind == "sparse":
        assert read_head(path) is None
        opened(path).close()
        assert path.stat().st_size < 1000
        return
    with pytest.raises(OutputError, match="cannot be written"):
        opened(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_head(path)
    assert precious.read_text() == "mine"


def test_names_that_are_no_text(path):
    journal = opened(path)
    odd = dataclasses.replace(frame(0), name=os.fsdecode(b"caf\xe9"))
    journal.commit(odd)
    journal.close()
    again = opened(path)
    assert list(again.frames()) == [odd]
    again.close()


def test_what_changes_while_it_is_in_use_is_told(path):
    write(path, range(3))
    journal = opened(path)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(OutputError, match="cannot be read back"):
        list(journal.frames())
    with pytest.raises(OutputError, match="cannot be read back"):
        journal.committed(1)
    journal.close()


def test_a_full_disk_leaves_whole_lines(path, monkeypatch):
    journal = opened(path)
    journal.commit(frame(0))
    whole, write_all = path.read_bytes(), os.write
    monkeypatch.setattr("os.write", lambda handle, data: write_all(handle, data[:10]))
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device; what is committed stays"):
        journal.commit(frame(1))
    assert path.read_bytes() == whole
    monkeypatch.undo()
    journal.commit(frame(1))
    assert journal.committed(1) == frame(1)
    journal.close()


def test_misuse_is_said_clearly(path):
    with pytest.raises(ValueError, match="used while not open"):
        Journal(path).begin("track", 0)
