"""Text as it may be shown, logged and recorded: without the secrets of URLs, and without characters that act.

File names, tags of containers, names of plugins and messages of other programs are foreign text: a terminal would carry
out the escape sequences in them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["json_line", "printable", "redact_secrets"]

_HIDDEN: Final = "***"
_SCHEME: Final = r"\b([A-Za-z][A-Za-z0-9+.-]+:/+)"
"""`http://`, also with one slash, which is what a path makes of it; a drive has one letter."""
_USER: Final = re.compile(rf'{_SCHEME}([^/?#"<>\n]*)@')
"""`user:password@` or `token@`, up to the last @ before the path: passwords may hold one, and blanks."""
_USER_WITH_SLASH: Final = re.compile(rf'{_SCHEME}([^\s"<>]*)@')
"""The same with a password that holds a slash, a question mark or a number sign, against the rules for URLs."""
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(:\d*)?")
"""A host with its port, as it stands before the path of a URL without user."""
_QUERY: Final = re.compile(rf'{_SCHEME}([^\s"<>?#;]*)([?#;][^\s"<>]*)')
_PARAMETER: Final = re.compile(r"([?&;#])([^=&;#?]*)(=[^&;#]*)?")
_SECRET_NAME: Final = re.compile(
    r"pass|psw|pw|token|secret|key|auth|sig|cred|session|sid|jwt|ticket|policy|hdn|nonce|otp|pin|code|login|user|acc(ount|ess)",
    re.IGNORECASE,
)
_LONG_VALUE: Final = 20
"""Characters from which on a value is taken for a token, whatever its name; numbers of channels, sizes and times are
shorter."""
_ACTING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, of invisible ones (some turn the direction of writing), of halves of
characters, which stand for bytes that are no UTF-8, and of line ends."""
_KEPT: Final = frozenset("\u200c\u200d")
"""Joiners, which words of some scripts and pictures of people cannot do without."""


def redact_secrets(text: str) -> str:
    """Text in which the URLs have no passwords, bare tokens and secret parameters: three stars stand for each.

    Of `user:password@host` the user stays, and of a query every parameter whose name and length are harmless.
    """
    if ":/" not in text:
        return text
    text = _USER.sub(lambda found: f"{found[1]}{_user(found[2])}@", text)
    text = _USER_WITH_SLASH.sub(_without_slashed_user, text)
    return _QUERY.sub(lambda found: f"{found[1]}{found[2]}{_PARAMETER.sub(_parameter, found[3])}", text)


def printable(text: str, *, keep: str = "") -> str:
    r"""Text in which every character that is no picture is written as an escape such as `\x1b`, but those in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c in keep or _is_picture(c) else _escape(c) for c in text)


def json_line(content: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """JSON of one line for programs and logs: without secrets, and safe on a terminal too."""
    text = json.dumps(_redacted(content), ensure_ascii=ascii_only)
    return "".join(c if _is_picture(c) else json.dumps(c)[1:-1] for c in text)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact_secrets(value)
    if isinstance(value, Mapping):
        return {key: _redacted(item) for key, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list | tuple) else value


def _user(user: str) -> str:
    """What is left of the part before the @: the user where there is a password too, else nothing."""
    name, colon, password = user.partition(":")
    # Services that take a token in the place of the user want an empty password, or none; tokens are long
    is_name = bool(colon and password) and len(name) < _LONG_VALUE
    return f"{name}:{_HIDDEN}" if is_name else _HIDDEN


def _without_slashed_user(found: re.Match[str]) -> str:
    # Most URLs with an @ in their path are in order: what comes before the path is a host
    host = re.split(r"[/?#]", found[2])[0]
    is_in_order = _HOST.fullmatch(host) is not None or host.partition("@")[0].endswith(_HIDDEN)
    return found[0] if is_in_order else f"{found[1]}{_user(found[2])}@"


def _parameter(found: re.Match[str]) -> str:
    mark, name, value = found[1], found[2], found[3]
    if value is None:
        return f"{mark}{_HIDDEN}" if name else mark
    is_secret = _SECRET_NAME.search(name) or len(value) > _LONG_VALUE
    return f"{mark}{name}={_HIDDEN}" if is_secret else found[0]


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _is_picture(character: str) -> bool:
    """Whether a character is shown, or leaves a blank, and does nothing else."""
    return character in _KEPT or unicodedata.category(character) not in _ACTING
