"""Streams and cameras: a server on this machine, and FFmpeg's test pictures in the place of a camera."""

import functools
import http.server
import threading
from fractions import Fraction
from http.server import HTTPServer, SimpleHTTPRequestHandler

import av
import numpy as np
import pytest

from persamhq_video.errors import DecodeError, InputError
from persamhq_video.io import StreamSource, open_source
from persamhq_video.io.readers.http_stream import ChunkedBody
from persamhq_video.protocols import FrameWindow

TEST_PICTURES = "camera:lavfi:testsrc=size=64x36:rate=25"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """Serves `tmp_path` on this machine alone."""
    server = HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def write_clip(path, *, sizes=((36, 64),) * 6, container=None):
    """Transport streams and Matroska begin anywhere, so a server need not seek."""
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = sizes[0][1], sizes[0][0], "yuv420p", 2_000_000
        for index, size in enumerate(sizes):
            image = np.random.default_rng(index).integers(0, 255, (*size, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index + 100, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


class TestUrl:
    @pytest.mark.parametrize("name", ["clip.ts", "clip.mkv"])
    def test_the_frames_of_the_file(self, server, tmp_path, name):
        path = write_clip(tmp_path / name)
        expected = list(open_source(path).frames())
        source = StreamSource(f"{server}/{name}", FrameWindow())
        assert (source.info.kind, source.info.is_live, source.info.num_frames) == ("stream", True, None)
        assert (source.info.height, source.info.width, source.num_selected) == (36, 64, None)
        frames = list(source.frames())
        assert [frame.index for frame in frames] == list(range(6))
        for frame, same in zip(frames, expected, strict=True):
            np.testing.assert_array_equal(frame.image, same.image)
            assert frame.pts == same.pts - expected[0].pts

    def test_a_window(self, server, tmp_path):
        write_clip(tmp_path / "clip.ts")
        source = StreamSource(f"{server}/clip.ts", FrameWindow(start=1, end=6, stride=2))
        assert source.num_selected == 3
        frames = list(source.frames())
        assert [frame.name for frame in frames] == ["00000", "00001", "00002"]
        assert [round(frame.pts_seconds * 25) for frame in frames] == [1, 3, 5]

    def test_it_comes_once(self, server, tmp_path):
        write_clip(tmp_path / "clip.ts")
        source = StreamSource(f"{server}/clip.ts", FrameWindow())
        assert len(list(source.frames())) == 6
        with pytest.raises(DecodeError, match="is live and was read already"):
            source.frames()

    def test_a_start_beyond_its_end(self, server, tmp_path):
        write_clip(tmp_path / "clip.ts")
        with pytest.raises(DecodeError, match="ends before frame 9; use a lower --start"):
            list(StreamSource(f"{server}/clip.ts", FrameWindow(start=9)).frames())

    def test_what_is_not_there(self, server):
        with pytest.raises(InputError, match=r"none.ts: cannot be opened \(.*404"):
            StreamSource(f"{server}/none.ts", FrameWindow())

    def test_its_password_is_not_told(self, server):
        with pytest.raises(InputError, match=r"me:\*\*\*@127.0.0.1:\d+/none.ts: cannot be opened"):
            StreamSource(f"{server}/none.ts".replace("://", "://me:secret@"), FrameWindow())

    def test_what_is_no_video(self, server, tmp_path):
        (tmp_path / "page.html").write_text("<p>not a video</p>" * 100)
        with pytest.raises(InputError, match=r"page.html: cannot be opened"):
            StreamSource(f"{server}/page.html", FrameWindow())

    def test_damage_is_left_out(self, server, tmp_path):
        data = bytearray(write_clip(tmp_path / "clip.ts", sizes=((36, 64),) * 40).read_bytes())
        # Whole packets of a transport stream are lost, as over UDP.
        middle = len(data) // 188 // 2 * 188
        del data[middle : middle + 4 * 188]
        (tmp_path / "lossy.ts").write_bytes(data)
        frames = list(StreamSource(f"{server}/lossy.ts", FrameWindow()).frames())
        assert 20 < len(frames) <= 40
        assert [frame.index for frame in frames] == list(range(len(frames)))

    def test_a_picture_that_changes_its_size(self, server, tmp_path):
        small = write_clip(tmp_path / "small.ts").read_bytes()
        large = write_clip(tmp_path / "large.ts", sizes=((72, 128),) * 6).read_bytes()
        (tmp_path / "both.ts").write_bytes(small + large)
        source, frames = StreamSource(f"{server}/both.ts", FrameWindow()), []
        with pytest.raises(DecodeError, match=r"the picture changes from 64x36 yuv420p to 128x72 yuv420p") as caught:
            frames.extend(iter(source.frames()))
        assert caught.value.frame > 0


class Chunks(http.server.BaseHTTPRequestHandler):
    """Sends the file that the server was given in chunks, in one of several ways."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        data, end = self.server.data, self.path.split("/")[1]
        self.close_connection = True
        self.send_response(200)
        if end == "short-length":
            self.send_header("Content-Length", str(len(data) * 2))
            self.end_headers()
            self.wfile.write(data)
            return
        if end == "playlist":
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(data), 500):
            part = data[start : start + 500]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.write({"whole": b"0\r\n\r\n", "in-a-chunk": b"1000\r\nG"}.get(end, b""))


@pytest.fixture
def chunks(tmp_path):
    """Return a function that serves bytes in chunks and returns the address up to the way they end."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chunks)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def serve(data):
        server.data = data
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    server.shutdown()
    server.server_close()
    thread.join()


class TestChunks:
    @pytest.mark.parametrize("name", ["clip.ts", "clip.mkv"])
    def test_a_whole_stream(self, name, chunks, tmp_path):
        address = chunks(write_clip(tmp_path / name).read_bytes())
        assert len(list(StreamSource(f"{address}/whole/{name}", FrameWindow()).frames())) == 6

    @pytest.mark.parametrize("name", ["clip.ts", "clip.mkv"])
    @pytest.mark.parametrize("end", ["between-chunks", "in-a-chunk", "short-length"])
    def test_a_connection_that_breaks_off(self, end, name, chunks, tmp_path):
        data = write_clip(tmp_path / name, sizes=((36, 64),) * 30).read_bytes()
        source = StreamSource(f"{chunks(data[: len(data) // 2])}/{end}/{name}", FrameWindow())
        with pytest.raises(DecodeError, match=r"breaks off after \d+ frames: ") as caught:
            list(source.frames())
        assert 0 < caught.value.frame < 20

    def test_what_was_wanted_came_before_it_broke_off(self, chunks, tmp_path):
        data = write_clip(tmp_path / "clip.ts", sizes=((36, 64),) * 30).read_bytes()
        source = StreamSource(f"{chunks(data[: len(data) // 2])}/between-chunks/clip.ts", FrameWindow(end=4))
        assert len(list(source.frames())) == 4

    def test_user_and_password_are_sent(self, chunks, tmp_path, monkeypatch):
        seen = []
        monkeypatch.setattr(Chunks, "parse_request", parse_and_note(Chunks.parse_request, seen))
        address = chunks(write_clip(tmp_path / "clip.ts").read_bytes()).replace("//", "//me:p%40ss@")
        assert len(list(StreamSource(f"{address}/whole/clip.ts", FrameWindow()).frames())) == 6
        assert seen == ["Basic bWU6cEBzcw=="]

    def test_a_playlist_is_left_to_ffmpeg(self, chunks):
        address = chunks(b"#EXTM3U\n")
        assert ChunkedBody.open(f"{address}/playlist/live.m3u8", timeout=5) is None
        assert ChunkedBody.open(f"{address}/whole/live", timeout=5) is None

    def test_a_file_behind_a_url_keeps_its_promise(self, server, tmp_path):
        write_clip(tmp_path / "clip.mp4")
        assert len(list(StreamSource(f"{server}/clip.mp4", FrameWindow()).frames())) == 6


def parse_and_note(parse, seen):
    """A parser of requests that notes who logs in."""

    def parse_request(self):
        good = parse(self)
        seen.append(self.headers.get("Authorization"))
        return good

    return parse_request


class TestCamera:
    def test_pictures(self):
        frames = list(StreamSource(f"{TEST_PICTURES}:duration=0.2", FrameWindow()).frames())
        assert [frame.image.shape for frame in frames] == [(36, 64, 3)] * 5
        assert [round(frame.pts_seconds, 2) for frame in frames] == [0.0, 0.04, 0.08, 0.12, 0.16]

    def test_an_endless_one_is_bounded_by_its_end(self):
        source = StreamSource(TEST_PICTURES, FrameWindow(end=7))
        assert [frame.index for frame in source.frames()] == list(range(7))

    def test_it_can_be_left(self):
        source = StreamSource(TEST_PICTURES, FrameWindow())
        frames = source.frames()
        assert next(frames).index == 0
        frames.close()
        source.close()

    def test_no_camera(self):
        with pytest.raises(InputError, match=r"camera:v4l2:/dev/no-such: cannot be opened \(No such file"):
            StreamSource("camera:v4l2:/dev/no-such", FrameWindow())

    def test_no_such_format(self):
        with pytest.raises(InputError, match=r"camera:polaroid:x: cannot be opened \(.*polaroid"):
            StreamSource("camera:polaroid:x", FrameWindow())
