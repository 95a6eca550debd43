"""Downloads that go on where they were cut off, and are in the cache whole or not at all."""

from __future__ import annotations

import http.client
import os
import re
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from persam_hq.errors import CheckpointError
from persam_hq.hub.cache import Cache
from persam_hq.hub.catalogue import Published
from persam_hq.io.atomic import move_into_place, sha256_of

__all__ = ["OFFLINE_VARIABLE", "download", "is_offline"]

OFFLINE_VARIABLE = "PERSAM_HQ_OFFLINE"
"""The environment variable that forbids the network, with any value but 0."""
Progress = Callable[[int, int | None], None]
"""Is told how many bytes are there and how many there will be, None where the server does not say."""
_BLOCK = 1 << 20


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    return os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0")


def download(
    entry: Published,
    cache: Cache,
    *,
    offline: bool = False,
    progress: Progress = lambda _done, _total: None,
    timeout: float = 30.0,
) -> Path:
    """The file in the cache, downloaded if it is not there; what is there is verified.

    A file on its way is called .part, and the same call goes on from its end if the server can. `timeout` in seconds
    is for each answer of the server. Raises CheckpointError.
    """
    if cache.has(entry):
        return cache.verified(entry)
    if offline or is_offline():
        raise CheckpointError(
            f"{entry.name} is not in {cache.folder}, and the network is switched off; "
            f"put {entry.file} from {entry.url} there, or run without --offline and {OFFLINE_VARIABLE}"
        )
    part = cache.path(entry).with_name(f"{entry.file}.part")
    try:
        cache.folder.mkdir(parents=True, exist_ok=True)
        _fetch(entry, part, progress=progress, timeout=timeout)
    except (OSError, http.client.HTTPException) as exc:
        raise CheckpointError(
            f"cannot download {entry.url}: {_reason(exc)}; the same command goes on where it stopped"
        ) from exc
    return _admit(entry, part, cache)


def _admit(entry: Published, part: Path, cache: Cache) -> Path:
    """Give a complete download its name, unless it is not what was published."""
    found = sha256_of(part)
    if entry.sha256 not in (None, found):
        _forget(part)
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
    begun = part.stat().st_size if part.exists() else 0
    try:
        response = _open(entry.url, part, begun=begun, timeout=timeout)
    except HTTPError as exc:
        with exc:
            if exc.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not begun:
                raise
            if exc.headers.get("Content-Range") == f"bytes */{begun}":
                return  # it was complete, and only its name was missing
        _forget(part)
        begun, response = 0, _open(entry.url, part, begun=0, timeout=timeout)
    with response:
        _receive(response, part, begun=begun, progress=progress)


def _open(url: str, part: Path, *, begun: int, timeout: float) -> HTTPResponse:
    """Ask for the rest, provided that it is the rest of the same file; a server may send all of it instead."""
    headers = {"User-Agent": "persam-hq", "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
        if _tag_path(part).exists():
            headers["If-Range"] = _tag_path(part).read_text()
    response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout)  # noqa: S310 - from the table
    return response


def _receive(response: HTTPResponse, part: Path, *, begun: int, progress: Progress) -> None:
    """Append what the server sends, or begin anew where it sends all; OSError if it is less than it said."""
    match = re.fullmatch(r"bytes (\d+)-\d+/\d+", response.headers.get("Content-Range", ""))
    resumes = response.status == http.client.PARTIAL_CONTENT and match is not None and int(match[1]) == begun
    if response.status == http.client.PARTIAL_CONTENT and not resumes:
        _forget(part)
        raise OSError(f"asked for the bytes from {begun} on, the server sent {response.headers.get('Content-Range')}")
    done = begun if resumes else 0
    length = response.headers.get("Content-Length")
    total = None if length is None else done + int(length)

    with part.open("ab" if resumes else "wb") as file:
        _keep_tag(response, part)
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            progress(done, total)
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _keep_tag(response: HTTPResponse, part: Path) -> None:
    """Remember which version of the file this is, so that no other one is put behind it."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):  # a weak one says nothing about single bytes
        _tag_path(part).write_text(tag)
    else:
        _tag_path(part).unlink(missing_ok=True)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_path(part).unlink(missing_ok=True)


def _tag_path(part: Path) -> Path:
    """Where the server's mark of the file's version is kept while a download is under way."""
    return part.with_name(f"{part.name}.etag")


def _reason(exc: Exception) -> str:
    if isinstance(exc, http.client.IncompleteRead):
        return "the connection ended early"
    reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or exc
    code = f"HTTP {exc.code} " if isinstance(exc, HTTPError) else ""
    return f"{code}{reason}" or type(exc).__name__
