"""Training curves as files: one line of JSON per step, cut back where a run resumes, and a CSV table of them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from persam_hq.io.atomic import atomic_write, open_unlinked


def append_curves(path: Path, record: Mapping[str, float]) -> None:
    """Add the record of one step: its number, seconds and figures."""
    handle = open_unlinked(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with os.fdopen(handle, "a", encoding="utf-8") as lines:
        lines.write(json.dumps(record) + "\n")


def read_curves(path: Path) -> Iterator[dict[str, float]]:
    """Iterate over the records of a run's curves.jsonl, in order."""
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def cut_curves(path: Path, *, step: int) -> None:
    """Keep the records up to `step`, where a run resumes; the file stays whole if this is interrupted too.

    Steps that a killed run logged after its last save are trained and logged again, and its last line may be cut off.
    """
    if not path.exists():
        return
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    kept = [line for line in whole if json.loads(line)["step"] <= step]
    atomic_write(path, "".join(kept).encode())


def curves_to_csv(source: Path, destination: Path) -> None:
    """Write the curves as a table with one column per figure, empty where a step has no such figure."""
    records = list(read_curves(source))
    # Columns in the order in which figures first appear
    names = list(dict.fromkeys(name for record in records for name in record))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=names)
    writer.writeheader()
    writer.writerows(records)
    atomic_write(destination, table.getvalue().encode())
