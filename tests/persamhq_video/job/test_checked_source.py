"""The frame source of a plugin is checked: how many frames it gives, what they are, and how it ends."""

import pickle
import sys
import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from persamhq_video.errors import DecodeError, HangError, InputError
from persamhq_video.job.checked_source import CheckedSource, source_fault
from persamhq_video.types import Frame, SourceInfo

INFO = SourceInfo("x", "mine", 8, 4, Fraction(1, 25), Fraction(25), 5, rotation=0)


def frame(index, *, size=(4, 8), name=None):
    return Frame(index, index, INFO.time_base, np.zeros((*size, 3), np.uint8), f"{index:05d}" if name is None else name)


class Source:
    def __init__(self, *frames, announced=5, info=INFO, error=None):
        self.given, self.num_selected, self.info, self.error = frames, announced, info, error
        self.closed = False

    def frames(self):
        try:
            yield from self.given
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def read(source):
    return list(CheckedSource(source, "the source").frames())


@pytest.mark.parametrize("announced", [5, None])
def test_a_source_in_order(announced):
    source = Source(*map(frame, range(5)), announced=announced)
    assert [got.index for got in read(source)] == [0, 1, 2, 3, 4]
    assert source_fault(source) is None


@pytest.mark.parametrize(
    ("source", "index", "fault"),
    [
        (Source(*map(frame, range(3))), 3, "it ends after 3 of the 5 frames that it announced"),
        (Source(), 0, "it ends after 0 of the 5"),
        (Source(*map(frame, range(6))), 5, "it gives more than the 5 frames that it announced"),
        (Source(frame(0), frame(2)), 1, "it gave index 2; expected 1"),
        (Source(frame(0), frame(0)), 1, "it gave index 0; expected 1"),
        (Source(frame(0), frame(1, size=(8, 4))), 1, "it gave 4x8 pixels; expected 8x4"),
        (Source(frame(0), None), 1, "it gave a NoneType; expected a Frame"),
        (Source(frame(0), np.zeros((4, 8, 3), np.uint8)), 1, "it gave a ndarray"),
        (Source(frame(0, name="../../x")), 0, r"it gave the name '\.\./\.\./x'"),
        (Source(frame(0, name="")), 0, "it gave the name ''"),
        (Source(frame(0, name="a\x1b[2J")), 0, "it gave the name"),
        (Source(frame(0, name="a"), frame(1, name="a")), 1, "it gave the name 'a' twice"),
        (Source(frame(0), error=SystemExit(0)), 1, r"it failed: it called sys\.exit\(\)"),
        (Source(frame(0), error=KeyboardInterrupt()), 1, "it failed: KeyboardInterrupt"),
        (Source(frame(0), error=BaseException("own")), 1, "it failed: BaseException: own"),
        (Source(frame(0), error=RuntimeError("torn")), 1, "it failed: RuntimeError: torn"),
    ],
)
def test_a_source_that_goes_wrong(source, index, fault):
    with pytest.raises(DecodeError, match=f"^the source, frame {index}: {fault}") as caught:
        read(source)
    assert caught.value.frame == index


def test_an_error_with_a_message_for_users_stays():
    with pytest.raises(DecodeError, match=r"^mine$"):
        read(Source(frame(0), error=DecodeError("mine", frame=1)))


def test_whoever_stops_early_closes_it():
    source = Source(*map(frame, range(5)))
    frames = CheckedSource(source, "the source").frames()
    next(frames)
    frames.close()
    assert source.closed


def test_frames_that_cannot_be_begun():
    class Refuses(Source):
        def frames(self):
            sys.exit(3)

    with pytest.raises(DecodeError, match=r"^the source, frame 0: it failed: it called sys\.exit\(\)"):
        read(Refuses())


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (None, "it opened a NoneType"),
        (Source(info="text"), "its info is a str"),
        (Source(info=replace(INFO, width=0)), "its frames are 0x4"),
        (Source(info=replace(INFO, height=4.0)), "its frames are 8x4.0"),
        (Source(info=replace(INFO, time_base=0.04)), "got time base 0.04"),
        (Source(info=replace(INFO, frame_rate=Fraction(0))), "got time base"),
        (Source(announced=0), "it announces 0 frames"),
        (Source(announced=2.5), "it announces 2.5 frames"),
    ],
)
def test_what_is_no_source(source, fault):
    assert source_fault(source).startswith(fault)


def test_it_travels():
    sent = pickle.loads(pickle.dumps(CheckedSource(Range(), "the source")))
    assert [got.index for got in sent.frames()] == [0, 1]


class Range:
    info, num_selected = INFO, 2

    def frames(self):
        return map(frame, range(2))


def test_a_source_that_cannot_be_used_is_refused_before_its_first_frame():
    from persamhq_video.config import make_config
    from persamhq_video.job.sources_and_sinks import load_endpoints
    from persamhq_video.plugin.sources import PluginSource

    text = """
from persamhq_video.plugin import hookimpl
class Kind:
    is_live = False
    def accepts(self, text): return text.endswith(".exit") or text.endswith(".none")
    def open(self, request):
        if request.text.endswith(".exit"): raise SystemExit(0)
@hookimpl
def persamhq_register_frame_sources(register): register.add("odd", Kind)
"""
    endpoints = load_endpoints((PluginSource("odd.py", text),))
    with pytest.raises(
        InputError, match=r"x\.none: the frame source 'odd' \(plugin odd\.py\) cannot be used: it opened a"
    ):
        endpoints.open_source(make_config({}), "x.none")
    with pytest.raises(InputError, match=r"'odd' \(plugin odd\.py\) failed to open it: it called sys\.exit\(\)"):
        endpoints.open_source(make_config({}), "x.exit")


@pytest.mark.parametrize("at", [0, 2])
def test_a_source_that_gives_no_frame_hangs(at):
    never = threading.Event()

    class Hangs(Source):
        def frames(self):
            yield from self.given[:at]
            never.wait()

    got, frames = [], CheckedSource(Hangs(*map(frame, range(5))), "the source", 0.05).frames()
    with pytest.raises(HangError, match=r"^the source hangs: it took more than 0\.05 s \(--call-timeout\)"):
        got.extend(frames)
    never.set()
    assert len(got) == at


def test_a_live_source_may_wait():
    class Waits(Source):
        def frames(self):
            threading.Event().wait(0.2)
            yield from self.given

    source = Waits(*map(frame, range(2)), announced=None, info=replace(INFO, is_live=True, num_frames=None))
    assert len(list(CheckedSource(source, "the camera", 0.05).frames())) == 2


def test_frames_are_asked_for_in_one_thread():
    """What a source opens, such as a database, may be of use in the thread alone that opened it."""
    threads = []

    class Notes(Source):
        def frames(self):
            try:
                for each in self.given:
                    threads.append(threading.get_ident())
                    yield each
            finally:
                threads.append(threading.get_ident())

    frames = CheckedSource(Notes(*map(frame, range(5))), "the source", 60).frames()
    next(frames), next(frames)
    frames.close()
    assert len(threads) == 3
    assert len(set(threads)) == 1
