"""Hints that look like damage and are none, beside damage that looks alike."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from persamhq_video.errors import DecodeError
from persamhq_video.io import open_source
from persamhq_video.io.readers.matroska import missing_part

READERS = ("pyav", "decord")
TS_PACKET = 188
MPEG2 = {
    "codec": "mpeg2video",
    "time_base": Fraction(1, 25),
    "times": list(range(20)),
    "options": {"g": "4", "bf": "2"},
}


def read(path, **options):
    return list(open_source(path, **options).frames())


def split(path):
    """Transport packets of the video, as (number, bytes), and all packets."""
    data = path.read_bytes()
    packets = [bytearray(data[i : i + TS_PACKET]) for i in range(0, len(data), TS_PACKET)]
    pids = [(packet[1] & 31) << 8 | packet[2] for packet in packets]
    video = max(set(pids), key=pids.count)
    return [number for number, pid in enumerate(pids) if pid == video], packets


class TestMatroska:
    @pytest.mark.parametrize("reader", READERS)
    def test_a_last_frame_that_is_held(self, reader, tmp_path):
        path = tmp_path / "held.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(6):
                picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
                for packet in stream.encode(picture):
                    packet.duration = 125 if number == 5 else 1  # in frames
                    container.mux(packet)
            container.mux(stream.encode(None))
        with av.open(str(path)) as container:
            assert container.duration > 5_000_000
        assert len(read(path, reader=reader)) == 6

    def test_a_duration_that_an_editor_left_behind(self, make_clip, tmp_path):
        path = make_clip("clip.mkv")
        data = path.read_bytes()
        assert data.count(b"00:00:00.480000000") == 1
        path.write_bytes(data.replace(b"00:00:00.480000000", b"01:00:00.480000000"))
        assert len(read(path)) == 12

    def test_an_index_that_was_cut_off(self, make_clip):
        path = make_clip("clip.mkv")
        path.write_bytes(path.read_bytes()[:-8])
        assert missing_part(path) == "rest"
        assert len(read(path)) == 12
        (note,) = open_source(path).info.notes
        assert (
            note == f"{path}: ends before the size that it states, as a recording that broke off; it is read to there"
        )

    @pytest.mark.parametrize("muxer", [{}, {"live": "1"}, {"cluster_time_limit": "100"}])
    @pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
    def test_frames_that_were_cut_off(self, share, muxer, make_clip):
        path = make_clip("clip.mkv", count=30, options={"g": "5"}, muxer=muxer)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        assert missing_part(path) == "frames"
        with pytest.raises(DecodeError, match=r"frame \d+ missing or broken: .* the middle of its frames"):
            read(path)

    def test_whole_clusters_that_were_cut_off(self, make_clip):
        path = make_clip("clip.mkv", count=60, options={"g": "5"}, muxer={"cluster_time_limit": "200"})
        data = path.read_bytes()
        third = [i for i in range(len(data)) if data.startswith(b"\x1f\x43\xb6\x75", i)][2]
        path.write_bytes(data[:third])
        assert missing_part(path) == "rest"
        with pytest.raises(DecodeError, match=r"the file ends \d+\.\d+ s before its container says"):
            read(path)

    def test_a_live_recording_promises_nothing(self, make_clip):
        clip = {"codec": "libvpx", "options": {"cpu-used": "8", "deadline": "realtime"}, "muxer": {"live": "1"}}
        path = make_clip("clip.webm", **clip)
        with av.open(str(path)) as container:
            assert container.duration is None or "DURATION" not in container.streams.video[0].metadata
        assert missing_part(path) is None
        assert len(read(path)) == 12

    @pytest.mark.parametrize("data", [b"", b"\x1a", b"\x00" * 40, b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\xec"])
    def test_an_outline_that_cannot_be_followed(self, data, tmp_path):
        (tmp_path / "x.mkv").write_bytes(data)
        assert missing_part(tmp_path / "x.mkv") is None


class TestTransportStream:
    @pytest.mark.parametrize("reader", READERS)
    @pytest.mark.parametrize("clip", [{}, MPEG2])
    def test_a_counter_that_jumps(self, clip, reader, make_clip):
        path = make_clip("clip.ts", count=20, **clip)
        sound = read(path)
        numbers, packets = split(path)
        for number in numbers[len(numbers) // 2 :]:
            packets[number][3] = packets[number][3] & 0xF0 | (packets[number][3] + 5) & 0xF
        path.write_bytes(b"".join(packets))
        frames = read(path, reader=reader)
        assert [frame.pts for frame in frames] == [frame.pts for frame in sound]
        assert all((a.image == b.image).all() for a, b in zip(frames, sound, strict=True))

    @pytest.mark.parametrize("clip", [{}, MPEG2])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
    def test_packets_that_are_lost(self, share, clip, make_clip):
        path = make_clip("clip.ts", count=20, **clip)
        numbers, packets = split(path)
        first = numbers[int(len(numbers) * share)]
        del packets[first : first + 3]
        path.write_bytes(b"".join(packets))
        with pytest.raises(DecodeError, match=r"missing or broken"):
            read(path)

    def test_a_frame_that_is_lost_as_a_whole(self, make_clip):
        # No picture leans on a B-frame, so the decoder does not notice
        path = make_clip("clip.ts", count=20, **MPEG2)
        numbers, packets = split(path)
        starts = [number for number in numbers if packets[number][1] & 0x40]
        del packets[starts[6] : starts[7]]
        path.write_bytes(b"".join(packets))
        with pytest.raises(DecodeError, match=r"its packet is cut short or damaged"):
            read(path)

    def test_a_file_that_is_cut_short(self, make_clip):
        path = make_clip("clip.ts", count=20, options={"g": "10"})
        numbers, packets = split(path)
        starts = [number for number in numbers if packets[number][1] & 0x40]
        longest = max(pairwise(starts[1:]), key=lambda pair: pair[1] - pair[0])
        path.write_bytes(b"".join(packets[: sum(longest) // 2]))
        with pytest.raises(DecodeError, match=r"missing or broken"):
            read(path)


@pytest.mark.parametrize(
    ("name", "reader"), [("clip.avi", "pyav"), ("clip.avi", "decord"), ("clip.mkv", "pyav"), ("clip.mov", "decord")]
)
def test_motion_jpeg_may_change_its_subsampling(name, reader, make_clip, tmp_path):
    sources = [make_clip(f"{pixels}.avi", codec="mjpeg", pixels=pixels) for pixels in ("yuvj420p", "yuvj422p")]
    path = tmp_path / name
    with av.open(str(path), "w") as new, av.open(str(sources[0])) as one, av.open(str(sources[1])) as other:
        stream = new.add_stream_from_template(one.streams.video[0])
        for place, packet in enumerate([*one.demux(video=0)][:6] + [*other.demux(video=0)][6:12]):
            packet.stream, packet.pts = stream, place
            packet.dts = place
            new.mux(packet)
    frames = read(path, reader=reader)
    assert len(frames) == 12
    sound = read(sources[1])
    np.testing.assert_array_equal(frames[8].image, sound[8].image)


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_index_of_mp4_is_refused(reader, make_clip):
    path = make_clip()
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    with pytest.raises(Exception, match=r"clip\.mp4: not a video that can be read") as caught:
        open_source(path, reader=reader)
    assert caught.value.exit_code == 2
