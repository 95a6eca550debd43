"""Mutations of files: what breaks binary formats and texts, drawn at random and again the same from one seed."""

from __future__ import annotations

import re
from random import Random


def flip_bits(data: bytearray, random: Random) -> bytearray:
    for _ in range(random.choice((1, 3, 20))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return data


def truncate(data: bytearray, random: Random) -> bytearray:
    return data[: random.randrange(len(data))]


def erase(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data))
    length = random.choice((1, 4, 64, 1024))
    data[start : start + length] = random.choice((b"\0", b"\xff")) * min(length, len(data) - start)
    return data


def insert(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data) + 1)
    data[start:start] = random.randbytes(random.choice((1, 4, 64, 1024)))
    return data


def repeat(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data))
    piece = data[start : start + random.choice((8, 64, 1024))]
    where = random.randrange(len(data) + 1)
    data[where:where] = piece * random.choice((1, 2, 50))
    return data


def remove(data: bytearray, random: Random) -> bytearray:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 4, 64, 1024))]
    return data


def set_number(data: bytearray, random: Random) -> bytearray:
    """Put an extreme 4-byte number somewhere: sizes, counts and dimensions are such numbers."""
    start = random.randrange(max(1, min(len(data), random.choice((64, 512, len(data)))) - 4))
    value = random.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000, 13300, 0x80000000))
    data[start : start + 4] = value.to_bytes(4, random.choice(("big", "little")))
    return data


BINARY = (flip_bits, truncate, erase, insert, repeat, remove, set_number)

WORDS = (
    *(
        "-1",
        "0",
        "1e999",
        "NaN",
        "Infinity",
        "1" * 5000,
        "99999999999",
        "null",
        "true",
        '""',
        "[]",
        "{}",
        "[[[[1]]]]",
        "~",
    ),
    *(
        "\x00",
        "\u202e",
        "\x1b[31m",
        "\ud800",
        "&a [*a]",
        "*x",
        "!!python/object:os.system",
        "..",
        "/dev/zero",
        "A" * 70000,
    ),
    *("[" * 3000, "{a: " * 500, '"', "'", ",", "\n", "\ufeff", "\r\n", "%s", "{stem}", "é", "\t"),
)
"""What parsers and those who use their results have stumbled over."""


def change_text(data: bytearray, random: Random) -> bytearray:
    """Swap one token for a hostile word, or a line for another."""
    text = data.decode("utf-8", "surrogateescape")
    spans = [match.span() for match in re.finditer(r"[A-Za-z_./0-9-]+|[^\sA-Za-z0-9]", text)]
    if spans and random.random() < 0.8:
        start, end = random.choice(spans)
        text = text[:start] + random.choice(WORDS) + text[end:]
    else:
        lines = text.splitlines(keepends=True) or [""]
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines) * random.choice((1, 3)))
        text = "".join(lines)
    return bytearray(text.encode("utf-8", "surrogatepass" if random.random() < 0.5 else "replace"))


TEXT = (change_text, change_text, change_text, flip_bits, truncate, insert, remove, repeat)


def mutated(data: bytes, random: Random, *, text: bool) -> bytes:
    """`data` after one to three mutations."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        changed = random.choice(TEXT if text else BINARY)(changed or bytearray(b"\0"), random)
    return bytes(changed)
