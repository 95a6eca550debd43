"""JSON as bytes: UTF-8 as people read it, and escapes where a text cannot be spelt so."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["json_bytes"]


def json_bytes(value: Any, **options: Any) -> bytes:
    """A value as JSON in UTF-8; `options` are those of `json.dumps`.

    Names of files may be no text at all. Python then has stray surrogates in them, which UTF-8 has no place for but
    JSON's escapes do, and which are read back as they were.
    """
    try:
        return json.dumps(value, ensure_ascii=False, **options).encode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, **options).encode()
