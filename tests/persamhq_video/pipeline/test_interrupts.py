"""Interrupts: what Ctrl-C and a batch system send ends a job in order, the second one goes to the caller."""

import signal
import threading

import pytest

from persamhq_video.pipeline.interrupts import Interrupts

SIGNALS = [signal.SIGINT, signal.SIGTERM]


class StandInExecutor:
    def __init__(self):
        self.stops = 0

    def stop(self):
        self.stops += 1


class Second:
    def __init__(self):
        self.numbers = []

    def __call__(self, number, frame):
        self.numbers.append(number)


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_first_stops_and_the_second_is_the_callers(first, second):
    executor, handler = StandInExecutor(), Second()
    with Interrupts(handler) as interrupts:
        interrupts.executor = executor
        signal.raise_signal(first)
        assert (executor.stops, handler.numbers) == (1, [])
        signal.raise_signal(second)
        assert (executor.stops, handler.numbers) == (1, [second])


@pytest.mark.parametrize("number", SIGNALS)
def test_while_workers_start_it_is_raised(number):
    with pytest.raises(KeyboardInterrupt), Interrupts(Second()):
        signal.raise_signal(number)


def test_the_handlers_before_come_back():
    handlers = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts(Second()):
        assert [signal.getsignal(number) for number in SIGNALS] != handlers
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


def test_another_thread_changes_nothing():
    handlers = []

    def run():
        with Interrupts(Second()):
            handlers.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(number) for number in SIGNALS]
