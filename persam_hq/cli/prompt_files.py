"""Layouts of JSON prompt files, brought into one; docs/reference/prompt-files.md describes them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

# Names that scripts and tools use for the same things
POINTS = ("points", "clicked_points", "input_point", "input_points", "point_coords")
LABELS = ("labels", "clicked_labels", "input_label", "input_labels", "point_labels")
BOXES = ("box", "input_box")
COCO_BOX, MASK = "bbox", "mask"
KNOWN = frozenset({*POINTS, *LABELS, *BOXES, COCO_BOX, MASK})


def is_object(content: Any) -> bool:
    """Whether `content` is the prompts of one object, and not a list of objects or one list per image."""
    return isinstance(content, Mapping) and not KNOWN.isdisjoint(content)


def as_object(record: Any) -> Any:
    """One object as `points` (x, y, label), `box` (x0, y0, x1, y1) and `mask`.

    Unknown keys stay, to be refused by the schema. ValueError where two names say the same thing, or labels and points
    do not belong together.
    """
    if not isinstance(record, Mapping):
        return record
    points, labels, box = (_one_of(record, names) for names in (POINTS, LABELS, (*BOXES, COCO_BOX)))
    found = {name: value for name, value in record.items() if name not in KNOWN}
    if points is not None or labels is not None:
        found["points"] = _labelled(_listed(points), labels)
    if box is not None:
        found["box"] = _corners(box) if COCO_BOX in record else box
    if record.get(MASK) is not None:
        found["mask"] = record[MASK]
    return found


def _one_of(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value under any of the names; None where there is none, refused where there are two."""
    given = [name for name in names if record.get(name) is not None]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} say the same thing; give one of them")
    return record[given[0]] if given else None


def _listed(points: Any) -> list[Any]:
    """A list of points; a single point may stand by itself."""
    if not isinstance(points, list):
        raise ValueError(  # noqa: TRY004 - as for all that a file may say wrongly
            "points are a list, [[X, Y], ...] or [[X, Y, LABEL], ...]; labels alone mean nothing"
        )
    return [points] if points and not isinstance(points[0], list | Mapping) else points


def _labelled(points: list[Any], labels: Any) -> list[Any]:
    """Points as x, y, label; the label is the point's own, or from the list beside the points, or 1."""
    if labels is None:
        return [_as_list(point, label=1) for point in points]
    labels = labels if isinstance(labels, list) else [labels]
    if len(labels) != len(points):
        raise ValueError(f"{len(points)} points have {len(labels)} labels; give one label a point")
    if any(isinstance(point, list | Mapping) and len(point) != 2 for point in points):
        raise ValueError("points have labels of their own and beside them; give one of the two")
    return [_as_list(point, label=label) for point, label in zip(points, labels, strict=True)]


def _as_list(point: Any, *, label: Any) -> Any:
    """A point as [x, y, label]; anything else stays, to be refused by the schema."""
    if isinstance(point, Mapping):
        unknown = sorted(set(point) - {"x", "y", "label"})
        if unknown or "x" not in point or "y" not in point:
            raise ValueError('a point is [X, Y], [X, Y, LABEL] or {"x": X, "y": Y, "label": LABEL}')
        return [point["x"], point["y"], point.get("label", label)]
    return [*point, label] if isinstance(point, list) and len(point) == 2 else point


def _corners(box: Any) -> Any:
    """A box x, y, width, height, as in COCO, to x0, y0, x1, y1."""
    if isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box):
        with suppress(OverflowError):  # a whole number beyond all floats
            x, y, width, height = map(float, box)
            return [x, y, x + width, y + height]
    raise ValueError("bbox is X, Y, WIDTH, HEIGHT, as in COCO; give corners as box")
