"""Time stamps of a video's pictures: the stream's own, carried on where its clock is set anew, and always rising."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, Final, cast

from av.container import Flags

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_JUMP_SECONDS: Final = 10
"""Longest distance of two frames in a format whose clock may jump; a longer one is a jump. FFmpeg, too, takes 10 s."""
_LATE_START_SECONDS: Final = 60
"""The earliest start that is a clock, such as the time of day or of a recorder's start. Delays that keep video and
sound together are shorter: 0.4 s for B-frames, 1.4 s for the buffer of a transport stream, seconds at the most."""
_AVERAGE_RATE_LIMIT: Final = 1.5
"""Distance of two packets, in frames, from which on one is missing between them."""
_NEIGHBOURS: Final = 3
"""Packets on each side of a marked one among which one may be missing: FFmpeg hands packets on one or two later than it
marks them."""
_DECODING_TIMES_ONLY: Final = frozenset({"avi", "asf"})
"""Formats that have no presentation times: their frames come in decoding order, at their decoding times."""
_TS_DISCONT: Final = 0x200
"""FFmpeg's flag of formats whose clock may jump (AVFMT_TS_DISCONT): transport and program streams, Ogg."""


def prepare_times(container: InputContainer) -> None:
    """Set a container, before its first packet is read, to give the times of the file and none of FFmpeg's making."""
    # In decoding order FFmpeg can only guess presentation times, and with B-frames it guesses wrong
    if container.format.name in _DECODING_TIMES_ONLY:
        container.flags &= ~cast("int", Flags.gen_pts.value)


def frame_step(stream: VideoStream) -> int:
    """Ticks from one frame to the next at the average rate, at least 1."""
    rate = stream.average_rate or stream.guessed_rate
    return max(1, round(1 / (rate * time_base_of(stream)))) if rate else 1


def time_base_of(stream: VideoStream) -> Fraction:
    """The stream's time base; 1/1000 for the rare container without one."""
    return stream.time_base or Fraction(1, 1000)


def late_start(container: InputContainer, stream: VideoStream) -> int:
    """Ticks at which a file begins whose clock stood at more than a minute then; 0 for all other files."""
    seconds = Fraction(container.start_time or 0, 1_000_000)  # FFmpeg counts it in microseconds
    return round(seconds / time_base_of(stream)) if seconds >= _LATE_START_SECONDS else 0


class PictureTimes:
    """A fold that gives each picture, in presentation order, its time in ticks of the stream.

    Times are the stream's own. Where its clock is set anew, as where files were joined or a recorder started again,
    they are carried on by the distance of the two frames before; a picture without a time follows by the average rate,
    and one that is not later than its predecessor comes one tick after it.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._step = self._distance = frame_step(stream)
        self._shift = 0
        self._last: int | None = None
        self._may_jump = bool(container.format.flags & _TS_DISCONT)
        self._max_jump = round(MAX_JUMP_SECONDS / time_base_of(stream))

        # In decoding order a picture is complete some frames after its own place, always as many
        is_reordered = container.format.name in _DECODING_TIMES_ONLY and stream.codec_context.has_b_frames
        self._first_time = (stream.start_time or 0) if is_reordered else None
        self._delay: int | None = None

    def __call__(self, picture: VideoFrame) -> int:
        """The time of the next picture."""
        given = self._given(picture)
        if self._last is None:
            self._last = given or 0
            return self._last

        # A clock that is set anew: back, at a picture that starts afresh, or far ahead in a format where that happens
        time = self._last + self._step if given is None else given + self._shift
        distance = time - self._last
        if (distance < 0 and picture.key_frame) or (self._may_jump and distance > self._max_jump):
            time = self._last + self._distance
            self._shift = time - (given or 0)
        elif distance > 0:
            self._distance = distance

        self._last = max(time, self._last + 1)
        return self._last

    def _given(self, picture: VideoFrame) -> int | None:
        """The time that the file gives a picture, None where it gives none."""
        if self._first_time is None:
            pts: int | None = picture.pts
            return pts
        # The decoding time of the packet that completed it; the last pictures are completed by the end of the file
        dts: int | None = picture.dts
        if dts is None:
            return None
        self._delay = dts - self._first_time if self._delay is None else self._delay
        return dts - self._delay


def without_false_alarms(
    packets: Iterator[Packet[VideoStream]], container: InputContainer, stream: VideoStream
) -> Iterator[Packet[VideoStream]]:
    """The packets of a stream, their flag of damage cleared where a transport stream is only counted wrongly.

    Where streams are joined or cut the counter of their packets jumps, and FFmpeg marks the frame there as damaged. If
    no frame is missing beside it, the decoder is the better judge. The last packet keeps its mark: nothing after it
    shows that it is whole.
    """
    if container.format.name != "mpegts":
        yield from packets
        return
    limit = round(MAX_JUMP_SECONDS / time_base_of(stream))
    before: deque[Packet[VideoStream]] = deque(maxlen=_NEIGHBOURS)
    waiting: deque[Packet[VideoStream] | None] = deque()
    for following in chain(packets, repeat(None, _NEIGHBOURS)):
        waiting.append(following)
        packet = waiting.popleft() if len(waiting) > _NEIGHBOURS else None
        if packet is None:
            continue

        # Each is judged once its neighbours are known
        after = [neighbour for neighbour in waiting if neighbour is not None]
        if packet.is_corrupt and any(neighbour.size for neighbour in after):
            longest = _AVERAGE_RATE_LIMIT * (packet.duration or frame_step(stream))
            steps = (_distance(first, second) for first, second in pairwise([*before, packet, *after]))
            packet.is_corrupt = any(longest < step <= limit for step in steps)
        before.append(packet)
        yield packet


def _distance(first: Packet[VideoStream], second: Packet[VideoStream]) -> int:
    """Ticks between the decoding times of two packets; 0 where one of them has none."""
    return 0 if first.dts is None or second.dts is None else second.dts - first.dts
