"""Manifests: the videos of a job in a file, as CSV that spreadsheets write or as one JSON object per line.

Every row is checked before any video is opened; what is wrong is told with the file and the line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from persam_hq.errors import shown
from persam_hq.io.paths import exists, expand_home
from persam_hq.io.text.option_files import MAX_LIST_BYTES, parse_json, read_small_text
from persamhq_video.config import PER_VIDEO_OPTIONS, make_config
from persamhq_video.errors import ConfigError
from persamhq_video.io import FrameWindow

__all__ = ["MANIFEST_SUFFIXES", "ManifestRow", "TakesText", "never_taken", "read_manifest"]

MANIFEST_SUFFIXES: Final = frozenset({".csv", ".jsonl"})

_PATHS: Final = ("video", "mask", "out")
_COLUMNS: Final = (*_PATHS, *PER_VIDEO_OPTIONS)
_NESTED: Final = "options"
_DELIMITERS: Final = ",;\t"
_LONGEST_NAME: Final = 255
"""Bytes of a file's name that the common file systems take."""


TakesText = Callable[[str | None, str], bool]
"""Whether an input goes as it is to its source, which may be named, and is no path."""


def never_taken(source: str | None, text: str) -> bool:
    """Every input is a path."""
    del source, text
    return False


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One video of a manifest: `where` is its line, paths are relative to the manifest no more, options are checked."""

    where: str
    video: Path | str
    mask: str | None
    out: Path | None
    options: Mapping[str, Any]


def read_manifest(path: Path, *, takes_text: TakesText = never_taken) -> list[ManifestRow]:
    """Every row; what is wrong with any of them is a ConfigError that names the file and the line."""
    text = _read_text(path)
    lines = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    rows = [_make_row(path.parent, f"{path}, line {number}", content, takes_text) for number, content in lines]
    if not rows:
        raise ConfigError(f"{path}: no video in it; expected a line for each, with {', '.join(_PATHS)}")
    return rows


def _read_text(path: Path) -> str:
    try:
        return read_small_text(path, most=MAX_LIST_BYTES)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text; save it as `CSV UTF-8`") from exc
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}; split it into several lists") from exc


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells by column; cells that are blank are left out."""
    header: list[str] | None = None
    for number, cells in _csv_lines(path, text):
        if header is None:
            header = _check_header(f"{path}, line {number}", cells)
            continue
        if any(cells[len(header) :]):
            raise ConfigError(f"{path}, line {number}: {len(cells)} cells, but {len(header)} columns; quote commas")
        named = {name: cell for name, cell in zip(header, cells, strict=False) if cell}
        if "" in named:
            raise ConfigError(f"{path}, line {number}: got {shown(named[''])} in a column without a name")
        yield number, named


def _csv_lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the line that a row begins in, and its cells; rows of blanks are left out."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    # Where the decimal sign is a comma, spreadsheets put semicolons between cells.
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield before + 1, cells
            before = reader.line_num
    except csv.Error as exc:
        raise ConfigError(f"{path}, line {before + 1}: not CSV ({exc})") from exc


def _check_header(where: str, cells: list[str]) -> list[str]:
    # A name that is unknown or there twice is most likely a slip
    header = [cell.lower() for cell in cells]
    _check_names(where, "column", [name for name in header if name])
    doubled = next((name for name in header if name and header.count(name) > 1), None)
    if doubled is not None:
        raise ConfigError(f"{where}: two columns are named {doubled}")
    if "video" not in header:
        raise ConfigError(f"{where}: no column video; expected a first line such as video,mask,out")
    return header


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and values by key, those of `options` among the others; null counts as left out."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield number, {key: value for key, value in _json_object(where, line).items() if value is not None}


def _json_object(where: str, line: str) -> dict[str, Any]:
    try:
        content = parse_json(line)
    except ValueError as exc:
        raise ConfigError(f"{where}: not JSON ({exc})") from exc
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: got a {type(content).__name__}; expected an object such as {{'video': ...}}")

    # Options may stand beside the paths or in an object of their own, but each in one place only
    options = content.pop(_NESTED, None) or {}
    if not isinstance(options, dict):
        raise ConfigError(f"{where}: got {shown(options)} as options; expected an object of them")
    _check_names(where, "key", [*content, *options])
    both = sorted({*content} & {*options})
    if both or {*_PATHS} & {*options}:
        raise ConfigError(f"{where}: {(both or sorted({*_PATHS} & {*options}))[0]} does not belong in options")
    return {**content, **options}


def _check_names(where: str, kind: str, names: list[str]) -> None:
    unknown = next((name for name in names if name not in _COLUMNS), None)
    if unknown is not None:
        raise ConfigError(
            f"{where}: unknown {kind} {shown(unknown)}; known: {', '.join(_COLUMNS)}"
            " (other options are the whole job's)"
        )


def _make_row(folder: Path, where: str, content: Mapping[str, Any], takes_text: TakesText) -> ManifestRow:
    paths = {name: _path_text(where, name, content.get(name)) for name in _PATHS}
    if paths["video"] is None:
        raise ConfigError(f"{where}: no video; fill in its path")

    # What else stands in the row are options of this video
    options = _checked_options(where, {name: value for name, value in content.items() if name not in _PATHS})
    path = folder / paths["video"]
    is_name = not exists(path) and takes_text(options.get("source"), paths["video"])
    return ManifestRow(
        where=where,
        video=paths["video"] if is_name else path,
        mask=None if paths["mask"] is None else str(folder / paths["mask"]),
        out=None if paths["out"] is None else folder / paths["out"],
        options=options,
    )


def _path_text(where: str, name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{where}: got {shown(value)} as {name}; expected a path")
    text = expand_home((value or "").strip())
    # What no file system takes is an error of the list, not of the system that is asked for the file
    if "\0" in text or any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST_NAME for part in Path(text).parts):
        raise ConfigError(f"{where}: got {shown(text)} as {name}; names have no zero byte and at most 255 bytes")
    return text or None


def _checked_options(where: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options in the types of a RunConfig."""
    # pydantic would take true for the number 1
    wrong = next((name for name, value in options.items() if isinstance(value, bool)), None)
    if wrong is not None:
        raise ConfigError(f"{where}: option {wrong}: got {options[wrong]}; none of a video's options is yes or no")

    # A cell holds the outputs as --outputs has them
    split = dict(options)
    if isinstance(split.get("outputs"), str):
        split["outputs"] = [name.strip() for name in split["outputs"].split(",") if name.strip()]
    try:
        config = make_config(split)
        FrameWindow(config.start, config.end, config.stride)
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc
    return {name: getattr(config, name) for name in options}
