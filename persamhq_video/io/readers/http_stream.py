"""Bodies of HTTP answers that come in chunks, read here because FFmpeg takes one that breaks off for a whole one."""

from __future__ import annotations

import base64
import http.client
import urllib.request
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from typing import Self

_PLAYLIST_TYPES: Final = ("mpegurl", "dash+xml")
_PLAYLIST_STARTS: Final = (b"#EXTM3U", b"<?xml", b"<MPD")
_PEEKED_BYTES: Final = 8
"""As many as the longest of the starts above."""


class ChunkedBody:
    """The body of an answer in chunks, as live streams are sent, for PyAV to read from.

    Its end is a chunk of no bytes. FFmpeg takes a connection that is closed between two chunks for that end, too; here
    `error` tells the two apart. It is not raised, as PyAV prints what is raised below FFmpeg.
    """

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.error: OSError | None = None

    @classmethod
    def open(cls, url: str, *, timeout: float) -> Self | None:
        """The body behind a URL; None for one that FFmpeg can open itself: with a length, a playlist, or an error."""
        try:
            opened = urllib.request.urlopen(_request(url), timeout=timeout)  # noqa: S310 - see _request
            response = cast("http.client.HTTPResponse", opened)
        except (OSError, ValueError, http.client.HTTPException) as exc:
            # Waiting once is enough; of all else FFmpeg says why, or knows more, such as how to log in otherwise
            if isinstance(exc, TimeoutError) or isinstance(getattr(exc, "reason", None), TimeoutError):
                raise TimeoutError from exc
            return None

        if response.chunked and not _is_playlist(response):
            return cls(response)
        response.close()
        return None

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are some; none at the end, and where the connection breaks off."""
        try:
            return self._response.read1(size)
        except TimeoutError as exc:
            self.error = exc
        except (OSError, ValueError, http.client.HTTPException):
            self.error = ConnectionError("the connection is closed before the last chunk")
        return b""

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        self._response.close()


def _request(url: str) -> urllib.request.Request:
    """The request for a URL; user and password, which FFmpeg takes from the URL, go where they belong."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)))  # noqa: S310 - http and https alone come here
    if at:
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(unquote(user).encode()).decode()}")
    return request


def _is_playlist(response: http.client.HTTPResponse) -> bool:
    """Whether an answer lists other URLs, which only FFmpeg can follow."""
    content_type = response.headers.get_content_type()
    if any(name in content_type for name in _PLAYLIST_TYPES):
        return True
    try:
        return response.peek(_PEEKED_BYTES).lstrip().startswith(_PLAYLIST_STARTS)
    except (OSError, ValueError, http.client.HTTPException):
        return False  # whoever reads it meets the same error
