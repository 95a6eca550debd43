"""Foreign code that does not come back is told after its limit, and what gets on is left alone."""

import threading

import pytest

from persamhq_video.errors import HangError
from persamhq_video.foreign import TimedThread, contained, running, running_by_stage


@pytest.fixture
def never():
    """An event that never comes while a test runs; the threads that wait for it end with the test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_call_that_hangs_is_named(never):
    def hangs():
        with contained("the refiner 'slow'", lambda reason, _: ValueError(reason)):
            never.wait()

    with TimedThread("a plugin", limit=0.05) as thread:
        with pytest.raises(HangError, match=r"^the refiner 'slow' hangs: it took more than 0\.05 s \(--call-timeout\)"):
            thread.call(hangs)
        assert thread.hangs


def test_without_a_name_of_its_own_it_is_named_by_the_caller(never):
    with (
        TimedThread("a plugin", limit=0.05) as thread,
        pytest.raises(HangError, match=r"^a plugin hangs: .*; the committed frames are kept$"),
    ):
        thread.call(never.wait)


def test_what_gets_on_has_time(never):
    """Four waits of half the limit each, after each of which it says that it gets on."""

    def slow():
        for _ in range(4):
            never.wait(0.3)
            thread.alive()
        return "done"

    with TimedThread("a plugin", limit=0.6) as thread:
        assert thread.call(slow) == "done"
        assert not thread.hangs


@pytest.mark.parametrize("limit", [None, 60.0])
def test_calls_are_made_in_one_thread(limit):
    with TimedThread("a plugin", limit=limit) as thread:
        found = {thread.call(threading.get_ident) for _ in range(3)}
        assert len(found) == 1
        assert (found == {threading.get_ident()}) == (limit is None)
        with pytest.raises(SystemExit):
            thread.call(lambda: (_ for _ in ()).throw(SystemExit(0)))


def test_whoever_waits_is_in_it_too(never):
    began = threading.Event()

    def stage():
        with (
            contained("the stage decode", lambda reason, _: ValueError(reason)),
            TimedThread("a source", limit=60) as it,
        ):
            it.call(lambda: (began.set(), never.wait()))

    waiting = threading.Thread(target=stage, daemon=True)
    waiting.start()
    assert began.wait(60)
    assert running(waiting.ident) == running_by_stage()["the stage decode"] == "a source"
    never.set()
    waiting.join(60)
    assert running(waiting.ident) is None
