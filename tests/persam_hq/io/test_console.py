"""The console of a command: closed, full, without letters, and left by its reader."""

import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from persam_hq.io.console import OUTPUT_LOST, READER_GONE, bar_stream, run_on_console

PRINTS = """
import sys
from persam_hq.io.console import run_on_console
def command():
    print("out \\u65e5 http://u:SECRET@h/x \\x1b[2J")
    print("err \\u65e5", file=sys.stderr)
    open("file.txt", "w").write("content")
    return 7
sys.exit(run_on_console(command))
"""


def run(redirect, tmp_path, *, text=PRINTS, **environment):
    (tmp_path / "p.py").write_text(textwrap.dedent(text))
    return subprocess.run(
        ["sh", "-c", f'"{sys.executable}" p.py {redirect}'],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), **environment},
    )


def speak(text, *, to=None):
    print(text, file=to or sys.stdout)


@pytest.mark.parametrize("redirect", ["2>&-", ">&-", ">&- 2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full"])
def test_streams_that_cannot_be_written_to(redirect, tmp_path):
    assert run(redirect, tmp_path).returncode == 7
    # Nothing printed went into the file that was opened next
    assert (tmp_path / "file.txt").read_text() == "content"


def test_output_that_is_lost_is_told(tmp_path):
    done = run(">/dev/full", tmp_path, text=PRINTS.replace("return 7", "return 0"))
    assert done.returncode == OUTPUT_LOST
    assert b"standard output cannot be written: No space left on device" in done.stderr


def test_a_console_without_letters(tmp_path):
    done = run("", tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 7
    assert done.stdout == b"out \\u65e5 http://u:***@h/x \\x1b[2J\n"
    assert done.stderr == b"err \\u65e5\n"


def test_a_reader_that_goes_away(tmp_path):
    text = """
    import sys
    from persam_hq.io.console import run_on_console
    def command():
        for number in range(100_000):
            print("line", number)
        return 0
    sys.exit(run_on_console(command))
    """
    done = run("| head -1", tmp_path, text=text)
    assert (done.stdout, done.stderr) == (b"line 0\n", b"")


def test_its_exit_code():
    def gone():
        raise BrokenPipeError

    assert run_on_console(gone) == READER_GONE == 141


@pytest.mark.parametrize("missing", ["stdout", "stderr"])
def test_streams_that_are_not_there_at_all(monkeypatch, missing):
    """As under pythonw."""
    monkeypatch.setattr(sys, missing, None)
    assert run_on_console(lambda: speak("out") or speak("err", to=sys.stderr) or 5) == 5
    assert getattr(sys, missing) is None


def test_streams_are_as_before(monkeypatch):
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    run_on_console(lambda: speak("a\x1b[2J\tb") or 0)
    assert sys.stdout is own
    assert own.getvalue() == "a\\x1b[2J\tb\n"


def test_bars_move_the_cursor_and_never_fail():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    bar_stream(Gone()).write("x")
    own = io.StringIO()
    bar_stream(own).write("\r\x1b[A50%")
    assert own.getvalue() == "\r\x1b[A50%"


def test_a_descriptor_that_is_read_from(tmp_path, monkeypatch):
    """Python keeps files of its own under the number of a stream that was closed."""
    (tmp_path / "read").touch()
    descriptor = os.open(tmp_path / "read", os.O_RDONLY)
    with os.fdopen(descriptor, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert run_on_console(lambda: speak("err", to=sys.stderr) or 5) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("option", "unbuffered", "code"),
    # argparse itself drops help that it cannot write, which shows only where it is buffered
    [("--help", "", 3), ("--version", "", 3), ("--version", "1", 3), ("--nonsense", "", 2), ("--nonsense", "1", 2)],
)
def test_help_that_cannot_be_written(option, code, unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "persam_hq", option], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == code
    assert ended.stderr.count("\n") == 1
