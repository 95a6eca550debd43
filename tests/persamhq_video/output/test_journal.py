"""The ledger: torn tails are dropped, counts are exact, one run at a time."""

import threading
from fractions import Fraction

import pytest

from persamhq_video.errors import ConfigError, OutputError
from persamhq_video.output.journal import Committed, Ledger, check_unused, read_identity

IDENTITY = {"config": {"model": "lite"}}


def frame(index, *, crc=7):
    rows = f"{index},0,1/25\n"
    return Committed(
        index=index, name=f"ü{index}", pts=index, time_base=Fraction(1, 25), ticks=index, crc=crc, rows=rows
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".persamhq" / "ledger.jsonl"


def opened(path):
    ledger = Ledger(path)
    ledger.open(IDENTITY)
    return ledger


def write(path, frames):
    ledger = opened(path)
    for index in frames:
        ledger.begin("encode", index)
        ledger.begin("track", index)
        ledger.commit(frame(index))
    ledger.close()


def test_what_was_committed_is_read_back(path):
    write(path, range(3))
    ledger = opened(path)
    assert list(ledger.frames()) == [frame(0), frame(1), frame(2)]
    assert list(ledger.frames(2)) == [frame(0), frame(1)]
    assert ledger.committed(1) == frame(1)
    assert ledger.committed(3) is None
    assert (dict(ledger.begun), ledger.attempts) == ({"encode": 3, "track": 3}, 2)
    ledger.close()


def test_the_last_word_on_a_frame_counts(path):
    write(path, range(3))
    ledger = opened(path)
    ledger.commit(frame(1, crc=8))
    assert [entry.crc for entry in ledger.frames()] == [7, 8, 7]
    ledger.close()


def test_a_gap_ends_what_is_given_in_order(path):
    write(path, [0, 1, 3])
    ledger = opened(path)
    assert [entry.index for entry in ledger.frames()] == [0, 1]
    assert ledger.committed(2) is None
    ledger.close()


def test_wherever_it_is_torn_only_the_torn_line_is_lost(path):
    write(path, range(3))
    content = path.read_bytes()
    for length in range(content.index(b"\n") + 1, len(content)):
        path.write_bytes(content[:length])
        ledger = opened(path)
        assert len(list(ledger.frames())) == content[:length].count(b'"commit"') - (
            b'"commit"' in content[:length].rpartition(b"\n")[2]
        )
        ledger.commit(frame(9))
        assert ledger.committed(9) == frame(9)
        ledger.close()
        assert path.read_bytes().startswith(content[:length].rpartition(b"\n")[0])


def test_what_a_power_failure_filled_with_zeros_is_dropped(path):
    write(path, range(2))
    with path.open("ab") as file:
        file.write(bytes(100) + b'\n{"begin":"track","frame":5}\n')
    ledger = opened(path)
    assert ledger.begun["track"] == 2
    ledger.close()
    assert bytes(2) not in path.read_bytes()


def test_several_threads_begin(path):
    ledger = opened(path)
    threads = [threading.Thread(target=lambda: [ledger.begin("encode", i) for i in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for index in range(100):
        ledger.commit(frame(index))
    for thread in threads:
        thread.join()
    ledger.close()
    again = opened(path)
    assert again.begun["encode"] == 800
    assert len(list(again.frames())) == 100
    again.close()


def test_the_identity_is_told_without_opening(path):
    assert read_identity(path) is None
    write(path, [])
    assert read_identity(path) == IDENTITY
    path.write_bytes(b'{"attempt":1,"iden')
    assert read_identity(path) is None


@pytest.mark.parametrize("line", ['{"attempt":1,"format":99,"identity":{}}', "{}"])
def test_a_ledger_of_another_version_is_refused(path, line):
    path.parent.mkdir()
    path.write_text(line + "\n")
    with pytest.raises(ConfigError, match="is not a ledger of this version"):
        read_identity(path)


def test_one_run_at_a_time(path):
    check_unused(path)
    ledger = opened(path)
    with pytest.raises(ConfigError, match="in use by another run"):
        opened(path)
    with pytest.raises(ConfigError, match="in use by another run"):
        check_unused(path)
    ledger.close()
    check_unused(path)


def test_a_full_disk_leaves_whole_lines(path, monkeypatch):
    import os

    ledger = opened(path)
    ledger.commit(frame(0))
    whole, write_all = path.read_bytes(), os.write
    monkeypatch.setattr("os.write", lambda handle, data: write_all(handle, data[:10]))
    with pytest.raises(OutputError, match=r"cannot be written: No space left on device; what is committed stays"):
        ledger.commit(frame(1))
    assert path.read_bytes() == whole
    monkeypatch.undo()
    ledger.commit(frame(1))
    assert ledger.committed(1) == frame(1)
    ledger.close()


def test_misuse_is_said_clearly(path):
    with pytest.raises(ValueError, match="used while not open"):
        Ledger(path).begin("track", 0)
