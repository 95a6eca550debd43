"""A server on loopback that can do what servers do, and a published file that it has."""

import hashlib
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from stand_ins.weights_bytes import safetensors

from persam_hq.hub import FOLDER_VARIABLE, OFFLINE_VARIABLE, Cache, Published

CONTENT = safetensors(bytes(range(256)) * 12_000)  # three blocks and a bit


class Server(ThreadingHTTPServer):
    """`content` is what it has; `cut` ends the next answer after so many bytes, `pause` is before each, in seconds."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.cut = CONTENT, '"one"', None
        self.knows_ranges, self.knows_length, self.wrong_range, self.status = True, True, False, None
        self.kind, self.pause = None, 0
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status is not None:
            self.send_error(server.status)
            return
        begin = self._begin(wanted)
        if begin >= len(server.content) and begin:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(begin, resumes=wanted is not None and begin > 0)

    def _begin(self, wanted):
        server = self.server
        current = self.headers.get("If-Range") in (None, server.tag)
        return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.knows_ranges and current else 0

    def _send(self, begin, *, resumes):
        server, body = self.server, self.server.content[begin:]
        self.send_response(206 if resumes else 200)
        if resumes:
            shown = begin + 7 if server.wrong_range else begin
            self.send_header("Content-Range", f"bytes {shown}-{len(server.content) - 1}/{len(server.content)}")
        if server.knows_length:
            self.send_header("Content-Length", str(len(body)))
        if server.tag is not None:
            self.send_header("ETag", server.tag)
        if server.kind is not None:
            self.send_header("Content-Type", server.kind)
        self.end_headers()
        cut, server.cut = server.cut, None
        time.sleep(server.pause)
        # Whoever has had enough closes the connection
        with suppress(ConnectionError):
            self.wfile.write(body if cut is None else body[:cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(OFFLINE_VARIABLE, raising=False)
    return Cache(tmp_path / "cache")


@pytest.fixture
def entry(server):
    """Without a published SHA-256; `known` has one."""
    return Published(
        name="small", url=server.url, file="weights.pth", model="vit_b", content="SAM", megabytes=3.1, sha256=None
    )


@pytest.fixture
def known(entry):
    return Published(
        name="known",
        url=entry.url,
        file="known.pth",
        model="vit_b",
        content="SAM",
        megabytes=3.1,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
