"""The curves of a run: a line of JSON a step, cut back where a run goes on, and a table made of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path


def append_curves(path: Path, record: Mapping[str, float]) -> None:
    """Add the record of one step."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


def read_curves(path: Path) -> Iterator[dict[str, float]]:
    """The records of a run's curves.jsonl, in order."""
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def cut_curves(path: Path, *, step: int) -> None:
    """Keep the records up to `step`.

    What a killed run logged after its last save comes again, and its last line may be half a line.
    """
    if not path.exists():
        return
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    kept = [line for line in whole if json.loads(line)["step"] <= step]
    part = path.with_suffix(".part")
    part.write_text("".join(kept), encoding="utf-8")
    part.replace(path)


def curves_to_csv(source: Path, destination: Path) -> None:
    """The curves as a table, one column a figure, empty where a step has no such figure."""
    records = list(read_curves(source))
    names = list(dict.fromkeys(name for record in records for name in record))
    with destination.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=names)
        writer.writeheader()
        writer.writerows(records)
