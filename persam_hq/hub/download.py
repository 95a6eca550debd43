"""Download of published weights into the cache, resumed where it was cut off, and renamed once it is whole.

HTTP by hand, as resuming has to survive servers that ignore ranges and files that change in between. A lock beside the
file keeps two processes from writing to one .part.
"""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from filelock import FileLock, Timeout

from persam_hq.errors import CheckpointError
from persam_hq.hub.cache import Cache
from persam_hq.hub.catalogue import Published
from persam_hq.hub.plausibility import largest_size, what_is_wrong
from persam_hq.io.atomic import move_into_place, sha256_of

__all__ = ["OFFLINE_VARIABLE", "download", "is_offline"]

OFFLINE_VARIABLE = "PERSAM_HQ_OFFLINE"
"""Environment variable that forbids the network, with any value but 0."""
Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and the bytes in all, None where the server does not say."""
_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_ADVICE = "is there a login or a proxy in between? try again, or download it by another way"
_BLOCK = 1 << 20
"""Bytes that are read at once, and so the least between two calls of `progress`."""


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    return os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0")


def download(
    entry: Published,
    cache: Cache,
    *,
    offline: bool = False,
    progress: Progress = lambda _done, _total: None,
    waiting: Callable[[], None] = lambda: None,
    timeout: float = 30.0,
) -> Path:
    """The file in the cache, downloaded if it is not there; what is there is verified.

    A file on its way is called .part, and the same call goes on from its end if the server can. `timeout` in seconds
    is for each answer of the server. Where another process downloads the same file, `waiting` is called once, and then
    its download is waited for. Raises CheckpointError.
    """
    # In the cache already, or not to be had
    if cache.has(entry):
        return cache.verified(entry)
    if offline or is_offline():
        raise CheckpointError(
            f"{entry.name} is not in {cache.folder}, and the network is switched off; "
            f"put {entry.file} from {entry.url} there, or run without --offline and {OFFLINE_VARIABLE}"
        )

    # Into the .part, from where an earlier call got, unless another one brought it meanwhile
    part = cache.path(entry).with_name(f"{entry.file}.part")
    try:
        cache.folder.mkdir(parents=True, exist_ok=True)
        with _alone(part, waiting=waiting):
            if cache.has(entry):
                return cache.verified(entry)
            _fetch(entry, part, progress=progress, timeout=timeout)
            return _store(entry, part, cache)
    except (OSError, http.client.HTTPException) as exc:
        raise CheckpointError(
            f"cannot download {entry.url}: {_reason(exc)}; the same command goes on where it stopped"
        ) from exc


@contextmanager
def _alone(part: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a .part, which processes and threads take in turn; the system frees those of the dead."""
    lock = FileLock(part.with_name(f".{part.stem}.lock"))  # stays, empty: removing it could take it from others
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _store(entry: Published, part: Path, cache: Cache) -> Path:
    """Give a complete download its name, unless it is not what was published, as far as can be told."""
    wrong = None if entry.sha256 else what_is_wrong(entry, part)
    if wrong is not None:
        _discard(part)
        raise CheckpointError(f"what {entry.url} sent is {wrong}; it was removed; {_ADVICE}")
    found = sha256_of(part)
    if entry.sha256 not in (None, found):
        _discard(part)
        raise CheckpointError(
            f"what {entry.url} sent is not what was published: its SHA-256 is {found}, expected {entry.sha256}; "
            "it was removed; try again, or download it by another way"
        )
    move_into_place(part, cache.path(entry))
    _tag_path(part).unlink(missing_ok=True)
    cache.keep(entry, found)
    return cache.path(entry)


def _fetch(entry: Published, part: Path, *, progress: Progress, timeout: float) -> None:
    """Bring `part` to its full length, from its end if it is there already."""
    # Ask for the rest. A server refuses (416) where there is none: the file is whole already, or it became shorter
    begun = part.stat().st_size if part.exists() else 0
    try:
        response = _open(entry.url, part, begun=begun, timeout=timeout)
    except HTTPError as exc:
        with exc:
            if exc.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not begun:
                raise
            if exc.headers.get("Content-Range") == f"bytes */{begun}":
                return  # it was complete, and only its name was missing
        # It is another file now, so from the start
        _discard(part)
        begun, response = 0, _open(entry.url, part, begun=0, timeout=timeout)
    with response:
        _refuse_page(entry, response)
        _receive(response, part, begun=begun, progress=progress, entry=entry)


def _open(url: str, part: Path, *, begun: int, timeout: float) -> HTTPResponse:
    """Ask for the rest, provided that it is the rest of the same file; a server may send all of it instead."""
    # Compressed, bytes could not be counted
    headers = {"User-Agent": "persam-hq", "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
        # With If-Range the server sends the rest only of the same version
        if _tag_path(part).exists():
            headers["If-Range"] = _tag_path(part).read_text()
    request = Request(url, headers=headers)  # noqa: S310 - from the table
    response: HTTPResponse = build_opener(_SafeRedirects).open(request, timeout=timeout)
    return response


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects, but never from https to anything less."""

    def redirect_request(  # noqa: PLR0917 - the signature of the library
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request of the new address; CheckpointError where it would give up the encryption."""
        # What comes over http can be changed by anyone on the way, and not every file has a published sum
        schemes = (urlsplit(req.full_url).scheme, urlsplit(newurl).scheme)
        if schemes[1] != "https" and schemes != ("http", "http"):
            fp.close()
            raise CheckpointError(
                f"{req.full_url} redirects to {newurl}, which is not encrypted; it was not followed; {_ADVICE}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_page(entry: Published, response: HTTPResponse) -> None:
    """Raise CheckpointError where the server sends a page to look at instead of a file."""
    if response.headers.get_content_type() in _PAGE_TYPES:
        raise CheckpointError(f"{entry.url} answered with a web page instead of the file; {_ADVICE}")


def _receive(response: HTTPResponse, part: Path, *, begun: int, progress: Progress, entry: Published) -> None:
    """Append what the server sends, or begin anew where it sends all; OSError if it is less than it said.

    CheckpointError where it is, or is going to be, far more than what was published.
    """
    # The rest begins where the .part ends; anything else that is no whole file would corrupt it
    match = re.fullmatch(r"bytes (\d+)-\d+/\d+", response.headers.get("Content-Range", ""))
    resumes = response.status == http.client.PARTIAL_CONTENT and match is not None and int(match[1]) == begun
    if response.status == http.client.PARTIAL_CONTENT and not resumes:
        _discard(part)
        raise OSError(f"asked for the bytes from {begun} on, the server sent {response.headers.get('Content-Range')}")
    done = begun if resumes else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length is not None and length.isdecimal() else None
    _refuse_endless(entry, part, size=total or 0)

    # The version first, so that it is known if the connection ends
    with part.open("ab" if resumes else "wb") as file:
        _keep_tag(response, part)
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            _refuse_endless(entry, part, size=done)
            progress(done, total)
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _refuse_endless(entry: Published, part: Path, *, size: int) -> None:
    """Discard a download and raise CheckpointError where its bytes are far more than what was published."""
    if size > largest_size(entry):
        _discard(part)
        raise CheckpointError(
            f"{entry.url} sends {size / 1e6:.0f} MB or more, expected about {entry.megabytes:g}; it was stopped and "
            f"removed; {_ADVICE}"
        )


def _keep_tag(response: HTTPResponse, part: Path) -> None:
    """Store the version of the file, its ETag, so that the rest of another one is never put behind it."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):  # a weak one says nothing about single bytes
        _tag_path(part).write_text(tag)
    else:
        _tag_path(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    """Remove an unfinished download and its version."""
    part.unlink(missing_ok=True)
    _tag_path(part).unlink(missing_ok=True)


def _tag_path(part: Path) -> Path:
    """Path of the stored ETag while a download is under way."""
    return part.with_name(f"{part.name}.etag")


def _reason(exc: Exception) -> str:
    """The reason of a failed download in a few words."""
    if isinstance(exc, http.client.IncompleteRead):
        return "the connection ended early"
    reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or exc
    code = f"HTTP {exc.code} " if isinstance(exc, HTTPError) else ""
    return f"{code}{reason}" or type(exc).__name__
