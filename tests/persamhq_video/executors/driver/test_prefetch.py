"""Frames decoded ahead in a thread."""

import threading
import time

from stand_ins.pool import make_frame

from persamhq_video.executors.driver.prefetch import Prefetcher


def poll(prefetcher):
    """The next frame, or how the source ended."""
    for _ in range(500):
        frame, ended, error = prefetcher.poll()
        if ended:
            return error or "ended"
        if frame is not None:
            return frame.index
        time.sleep(0.01)
    return "nothing came"


def ignore():
    pass


def test_frames_come_in_order_and_then_the_end():
    prefetcher = Prefetcher(lambda: map(make_frame, range(5)), wake=ignore)
    assert [poll(prefetcher) for _ in range(6)] == [0, 1, 2, 3, 4, "ended"]
    prefetcher.close()


def test_an_error_comes_after_the_frames_before_it():
    broken = OSError("broken")

    def frames():
        yield make_frame(0)
        raise broken

    prefetcher = Prefetcher(frames, wake=ignore)
    assert [poll(prefetcher), poll(prefetcher)] == [0, broken]
    prefetcher.close()


def test_a_source_that_cannot_be_opened():
    broken = OSError("not there")

    def frames():
        raise broken

    prefetcher = Prefetcher(frames, wake=ignore)
    assert poll(prefetcher) is broken
    prefetcher.close()


def test_only_a_few_frames_are_decoded_ahead_and_the_scheduler_is_woken_for_each():
    decoded, woken = [], threading.Semaphore(0)

    def frames():
        for index in range(100):
            decoded.append(index)
            yield make_frame(index)

    prefetcher = Prefetcher(frames, wake=woken.release)
    assert woken.acquire(timeout=5)
    assert woken.acquire(timeout=5)
    time.sleep(0.1)
    assert decoded == [0, 1, 2]
    prefetcher.close()


def test_a_source_that_is_not_read_to_its_end_is_closed_in_the_thread_that_opened_it():
    threads = []

    def frames():
        threads.append(threading.current_thread().name)
        try:
            yield from map(make_frame, range(100))
        finally:
            threads.append(threading.current_thread().name)

    prefetcher = Prefetcher(frames, wake=ignore)
    assert poll(prefetcher) == 0
    prefetcher.close()
    assert threads == ["decode", "decode"]
