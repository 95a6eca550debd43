"""Natural order of file names: 2 before 10, and numbers with fractions, signs and exponents, and dates, by their value.

What a hyphen, a point or an `e` means in a name is told by the other names: `t-1, t0, t1` has a sign and `t-1, t-2` a
separator, `1.9, 1.10` are versions and `1.75, 1.9` fractions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final
from unicodedata import decimal

__all__ = ["natural_key", "natural_sorted", "numbers_in"]

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME: Final = rf"({'|'.join(_MONTHS)})[a-z]*"
_GAP: Final = r"[-_. ]{0,2}"

# 31-12-2023 or 12-31-2023; 2 Jan 2024; Jan 2, 2024; 2024 Jan; and 9.05.10 PM as macOS names its screenshots
_DAY_OR_MONTH_FIRST: Final = re.compile(r"(?<![0-9])([0-9]{1,2})([-._ ])([0-9]{1,2})\2([0-9]{4})(?![0-9])")
_DAY_MONTH_NAME: Final = re.compile(rf"(?i)(?<![0-9])([0-9]{{1,2}}){_GAP}{_MONTH_NAME}{_GAP}([0-9]{{4}})(?![0-9])")
_MONTH_NAME_DAY: Final = re.compile(rf"(?i)(?<![a-z]){_MONTH_NAME}{_GAP}([0-9]{{1,2}}),?{_GAP}([0-9]{{4}})(?![0-9])")
_YEAR_MONTH_NAME: Final = re.compile(rf"(?i)(?<![0-9])([0-9]{{4}}){_GAP}{_MONTH_NAME}(?![a-z])")
_HALF_DAY: Final = re.compile(
    r"(?i)(?<![0-9])([0-9]{1,2})([.:_-][0-9]{2}(?:[.:_-][0-9]{2})?)[\s\u202f_-]?([ap])\.?m(?![a-z])"
)

# A number by itself and with all that may belong to it; the parts are judged by the whole set of names
_WHOLE: Final = re.compile(r"[0-9]+")
_FRACTION: Final = re.compile(r"(?<![0-9.,])([0-9]+)(?:[.,]([0-9]+))?(?![0-9]|[.,][0-9])")
_EXPONENT: Final = re.compile(r"(?<![0-9.,])[0-9]+(?:[.,][0-9]+)?e([+-]?)[0-9]+(?![0-9a-z.,])", re.IGNORECASE)
_BEFORE_SIGNS: Final = ("=", "_")
_SIGNS: Final = {"-": -1, "−": -1, "+": 1}  # noqa: RUF001 - the minus sign of typography is one of them

Token = tuple[int, Decimal, str]
"""A number (0, its value, "") or a text (1, 0, the text); numbers come before texts."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the numbers of a set of names are read."""

    has_fractions: bool = False
    has_exponents: bool = False
    has_signs: bool = False

    @property
    def pattern(self) -> re.Pattern[str]:
        """A number of this reading."""
        number = r"[0-9]+"
        if self.has_fractions or self.has_exponents:
            number += r"(?:[.,][0-9]+)?"
        if self.has_exponents:
            number += r"(?:e[+-]?[0-9]+(?![0-9a-z.,]))?"
        if self.has_signs:
            # After a digit a hyphen is a separator in any case
            number = rf"(?:(?<![0-9])[{''.join(map(re.escape, _SIGNS))}])?{number}"
        return re.compile(number, re.IGNORECASE)

    def tokens(self, name: str) -> list[Token]:
        """The name as numbers and texts in turn."""
        found, end = [], 0
        for match in self.pattern.finditer(name):
            found += [_text(name[end : match.start()]), (0, _value(match.group()), "")]
            end = match.end()
        return [token for token in [*found, _text(name[end:])] if token != _text("")]


def natural_sorted(files: Iterable[Path]) -> list[Path]:
    """Files of a folder in natural order of their names; of two that count as equal, by the names themselves."""
    every = list(files)
    names = _with_dates_rewritten([_with_ascii_digits(file.stem) for file in every])
    reading = _reading_of(names)
    keys = {file: (reading.tokens(name), file.name) for file, name in zip(every, names, strict=True)}
    return sorted(every, key=keys.__getitem__)


def natural_key(name: str) -> tuple[list[Token], str]:
    """Sort key of a name by itself, in which every run of digits is a whole number."""
    return _Reading().tokens(_with_ascii_digits(name)), name


def numbers_in(name: str) -> list[int]:
    """Every run of digits in a name, as whole numbers."""
    return [int(digits) for digits in _WHOLE.findall(name)]


def _with_ascii_digits(name: str) -> str:
    """The name with the digits of other scripts, and wide ones, as 0 to 9."""
    return name if name.isascii() else "".join(str(decimal(c, -1)) if c.isdecimal() else c for c in name)


def _text(text: str) -> Token:
    return (1, Decimal(0), text.casefold())


def _value(number: str) -> Decimal:
    sign = _SIGNS.get(number[0], 1)
    value = Decimal(number.lstrip("".join(_SIGNS)).replace(",", "."))
    return sign * value


def _reading_of(names: Sequence[str]) -> _Reading:
    """The reading under which the names make most sense as one series."""
    has_exponents, has_signs = _has_exponents(names), _has_signs(names)
    has_fractions = has_exponents or _has_fractions(names, has_signs=has_signs)
    return _Reading(has_fractions, has_exponents, has_signs)


def _has_signs(names: Sequence[str]) -> bool:
    """Whether a hyphen or plus before a number is its sign.

    So it is where another name has the number without, or with the other one, in its place, and behind `=` or `_`,
    which parts the number already.
    """
    signs = "".join(map(re.escape, _SIGNS))
    signed = re.compile(rf"(?<![0-9])[{signs}](?=[0-9])")
    # The texts before the first number of names with a sign there, and of the rest
    with_sign = [(name[: match.start()].casefold(), match.group()) for name in names if (match := signed.search(name))]
    before = {text for text, _ in with_sign}
    without = {name[: match.start()].casefold() for name in names if (match := _WHOLE.search(name))}
    has_both = len(set(with_sign)) > len(before)
    return has_both or bool(before & without) or any(text.endswith(_BEFORE_SIGNS) for text in before)


def _has_exponents(names: Sequence[str]) -> bool:
    """Whether names hold numbers such as 1e-3; `s1e3`, which is an episode, needs a sign or a point to be one."""
    matches = [(name, match) for name in names for match in _EXPONENT.finditer(name)]
    return any(
        match.group(1) or re.search("[.,]", match.group()) or not name[: match.start()][-1:].isalpha()
        for name, match in matches
    )


def _has_fractions(names: Sequence[str], *, has_signs: bool) -> bool:
    """Whether points (or commas) between digits are decimal points rather than separators, as in versions."""
    numbers = [tuple(match.groups()) for name in names for match in _FRACTION.finditer(name)]
    fractions = [(whole, part) for whole, part in numbers if part is not None]
    # Where all parts are equally long, both readings give the same order, but for -1.5 and -1.0
    if not fractions or (len({len(part) for _, part in fractions}) == 1 and len(fractions) == len(numbers)):
        return has_signs and bool(fractions)
    # Versions have 1.9 before 1.10, and may have 1.1 beside it; a printed fraction does not end with 0 unless all are
    # equally long, or it is that of a whole number (1.0)
    longer = [part for _, part in fractions if len(part) > 1]
    if any(part.endswith("0") for part in longer):
        return False
    # 0.033 beside 0.1, which no numbering has
    if any(part.startswith("0") for part in longer):
        return True

    # The reading with regular steps; where neither is, 0.5 and a mixture of 1 and 1.5 speak for fractions
    by_whole: defaultdict[str, list[int]] = defaultdict(list)
    for whole, part in fractions:
        by_whole[whole].append(int(part))
    as_fractions = _steps([Decimal(f"{whole}.{part or 0}") for whole, part in numbers])
    as_versions = set().union(*map(_steps, by_whole.values()))
    if len(as_fractions) == 1 or len(as_versions) == 1 < max(map(len, by_whole.values())) - 1:
        return len(as_fractions) <= len(as_versions)
    return len(fractions) < len(numbers) or any(int(whole) == 0 for whole, _ in fractions)


def _steps(values: Iterable[Decimal | int]) -> set[Decimal | int]:
    """The distances from each number to the next higher one."""
    return {after - before for before, after in pairwise(sorted(set(values)))}


# Dates


def _with_dates_rewritten(names: Sequence[str]) -> list[str]:
    """The names with dates as year-month-day and times of 24 hours, so that their numbers rise with the time."""
    day_first = _is_day_first(names)

    def year_first(match: re.Match[str]) -> str:
        first, second, year = match.group(1), match.group(3), match.group(4)
        day, month = (first, second) if day_first else (second, first)
        return f"{year}-{month}-{day}"

    rewritten = []
    for name in names:
        for pattern, rewrite in _NAMED_MONTHS:
            name = pattern.sub(rewrite, name)  # noqa: PLW2901 - one rewriting after the other
        name = _DAY_OR_MONTH_FIRST.sub(year_first, name)  # noqa: PLW2901 - as above
        rewritten.append(_HALF_DAY.sub(_of_24_hours, name))
    return rewritten


def _is_day_first(names: Sequence[str]) -> bool:
    """Whether 01-02-2024 is the first of February: as the numbers allow, else as the dates lie closer together."""
    dates = [match for name in names for match in _DAY_OR_MONTH_FIRST.finditer(name)]
    pairs = [(int(match.group(1)), int(match.group(3)), int(match.group(4))) for match in dates]
    if any(first > len(_MONTHS) for first, _, _ in pairs):
        return True
    if any(second > len(_MONTHS) for _, second, _ in pairs):
        return False
    # Frames are of a few days, so the months differ less than the days
    months = [{(year, pair[place]) for *pair, year in pairs} for place in (0, 1)]
    return len(months[1]) <= len(months[0])


def _month(name: str) -> int:
    return _MONTHS.index(name[:3].lower()) + 1


_NAMED_MONTHS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (_DAY_MONTH_NAME, lambda match: f"{match.group(3)}-{_month(match.group(2))}-{match.group(1)}"),
    (_MONTH_NAME_DAY, lambda match: f"{match.group(3)}-{_month(match.group(1))}-{match.group(2)}"),
    (_YEAR_MONTH_NAME, lambda match: f"{match.group(1)}-{_month(match.group(2))}"),
)


def _of_24_hours(match: re.Match[str]) -> str:
    hour = int(match.group(1)) % 12 + (12 if match.group(3).lower() == "p" else 0)
    return f"{hour}{match.group(2)}"
