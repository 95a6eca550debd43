"""Calls into foreign code: whatever it raises is contained, and Ctrl-C alone passes."""

import signal
import threading

import pytest

from persamhq_video.foreign import contained, failure_text, running


class OwnExit(BaseException):
    """A library's way out that is no Exception."""


class OwnInterrupt(KeyboardInterrupt):
    """A plugin's own kind of interrupt."""


class MuteError(Exception):
    """An error whose text cannot be made."""

    def __str__(self):
        raise RuntimeError("no text")


def failed(reason, error):
    del error
    return ValueError(f"contained: {reason}")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("no"), "RuntimeError: no"),
        (SystemExit(0), r"it called sys.exit\(\) \(SystemExit: 0\)"),
        (OwnExit("out"), "OwnExit: out"),
        (OwnInterrupt(), "OwnInterrupt"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (MemoryError(), "MemoryError"),
        (MuteError(), "MuteError"),
        (RuntimeError("two\nlines"), "RuntimeError: two lines"),
    ],
)
def test_whatever_is_raised_is_contained(error, text):
    with pytest.raises(ValueError, match=f"contained: {text}"), contained("a plugin", failed):
        raise error


def test_errors_with_a_message_for_users_pass():
    with pytest.raises(KeyError), contained("a plugin", failed, passing=(KeyError,)):
        raise KeyError("known")


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_passes_and_the_handler_before_is_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), contained("a plugin", failed):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_a_handler_that_hands_over_to_another_one_is_not_put_back():
    """As the first interrupt of a run does: the second one is for another handler."""
    before, came = signal.getsignal(signal.SIGINT), []

    def first(number, frame):
        del number, frame
        signal.signal(signal.SIGINT, second)

    def second(number, frame):
        came.append((number, frame))

    try:
        signal.signal(signal.SIGINT, first)
        with contained("a plugin", failed):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert len(came) == 1
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_raised_in_another_thread_is_contained():
    found = []

    def work():
        try:
            with contained("a plugin", failed):
                raise KeyboardInterrupt
        except ValueError as exc:
            found.append(str(exc))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["contained: KeyboardInterrupt"]


def test_the_innermost_code_that_a_thread_is_in_is_known():
    here = threading.get_ident()
    assert running(here) is None
    with contained("outer", failed):
        with contained("inner", failed):
            assert running(here) == "inner"
        assert running(here) == "outer"
    assert running(here) is None


def test_the_text_of_an_error():
    assert failure_text(ZeroDivisionError("x")) == "ZeroDivisionError: x"
