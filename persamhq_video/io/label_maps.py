"""Label maps as image files: the user's first-frame mask is read, palette PNGs are written."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from persam_hq.errors import one_line
from persam_hq.io.atomic import atomic_write
from persam_hq.io.images import davis_palette
from persam_hq.io.mask_pictures import NEARLY_WHOLE, MaskPicture, border_share, read_mask_picture
from persam_hq.io.pictures import PictureError, open_upright, read_header, upright_in_memory
from persam_hq.io.rims import blended_class, rim_class, speckled_class
from persam_hq.io.sample_range import deep_samples
from persam_hq.io.soft_masks import looks_soft
from persamhq_video.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_OBJECTS = 255
"""Ids fit into the uint8 of a label map, of which 0 is the background."""
_GREY_WHITES = (1, 255, 65535)
"""White in masks of 1, 8 and 16 bits."""
_COLOUR_WHITE = 0xFFFFFF
_NEARLY_WHITE = 250
"""Greys from here on look white; with others than nearly black beside them they are ids all the same."""
_NEARLY_BLACK = 5
_BYTE = 255
_MAX_REASON = 120
"""Characters of a library's message that a line of an error has room for."""
_LEAST_IDS = 3
"""Values from which on a mask without background may be a map of ids."""
_LOWEST_OF_COLOUR_MAPS = frozenset(
    {0x440154, 0x0D0887, 0x000003, 0x000004, 0x00224E, 0x000080, 0x00007F, 0x30123B, 0x3E26A8, 0x1F77B4}
)
"""What plots show a background of 0 as: viridis, plasma, inferno and magma, cividis, jet, turbo, parula, tab10."""
_PALETTE = davis_palette().tobytes()
_SOFT = "looks like a lossy or anti-aliased mask"
_SOFT_ADVICE = "save it as PNG with 0/255, or with one value an object, and without smoothing"


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Object ids per pixel, (H, W) uint8 with 0 = background; ``mapping`` has the id for each value of the file.

    ``notes`` are lines about how the file was read, where that may not be what its owner thinks.
    """

    labels: NDArray[np.uint8]
    ids: tuple[int, ...]
    mapping: dict[str, int]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != np.uint8:
            raise ValueError(f"a label map is (H, W) uint8, got {self.labels.shape} {self.labels.dtype}")

    def __repr__(self) -> str:
        return f"LabelMap(labels={self.labels.shape}, ids={self.ids})"


def read_first_masks(path: Path, *, size: tuple[int, int]) -> LabelMap:
    """Read the objects of the first frame; ``size`` is the frame's (height, width).

    A mask means what a picture viewer shows: transparent pixels and the colour that is background there are
    background. Palette indices and grey levels are ids as they are; where one is above 255 or index 0 is an object, and
    for colours, the values are numbered 1, 2, ... in rising order. A mask whose only value is white (255, 1, 65535 or
    #ffffff) is one object, 1.
    """
    try:
        # The size is known from the header, before memory is taken for the pixels
        header = read_header(path)
        _check_size(str(path), (header.height, header.width), size)
        if header.pictures > 1:
            raise InputError(f"{path}: the mask holds {header.pictures} pictures (pages or an animation); give one")
        picture = open_upright(path)
        if header.is_deep and picture.mode == "RGB":
            picture = _with_low_ids(path, picture)
    except PictureError as exc:
        why = "no such file" if str(exc) == "no such file" else f"not an image that can be read ({exc})"
        raise InputError(f"{path}: {why}; give the first frame's mask as an image, best as PNG") from exc
    if header.min_is_white:
        picture = Image.fromarray(header.inverted(np.asarray(picture)))
    return _label_map(str(path), picture, size=size, is_jpeg=header.is_jpeg)


def _with_low_ids(path: Path, picture: Image.Image) -> Image.Image:
    """A picture of 16 bits a channel; where that holds greys up to 255, which Pillow would cut off, those."""
    samples = deep_samples(path)
    grey = samples[..., 0]
    if samples.ndim != 3 or samples.max() > MAX_OBJECTS or (samples != grey[..., None]).any():
        return picture
    return Image.fromarray(grey.astype(np.uint8))


def label_map_of(mask: object, *, size: tuple[int, int]) -> LabelMap:
    """A mask that a caller has as a file, a picture of Pillow or an array, read as a file of it would be."""
    if isinstance(mask, str | os.PathLike):
        return read_first_masks(Path(os.fspath(mask)), size=size)
    if isinstance(mask, Image.Image):
        try:
            picture, is_jpeg = upright_in_memory(mask)
        except PictureError as exc:
            raise InputError(f"the mask: got a picture that cannot be decoded ({exc}); save it anew") from exc
        _check_size("the mask", picture.size[::-1], size)
        return _label_map("the mask", picture, size=size, is_jpeg=is_jpeg)

    # One plane is a plane, whatever axes of one are around it; colours are bytes, or those in a wider type
    array = _array_of(mask)
    if array.ndim > 2 and array.size == size[0] * size[1] and [side for side in array.shape if side > 1] == [*size]:
        array = array.reshape(size)
    is_colour = array.ndim == 3 and array.shape[2] in {3, 4} and array.dtype.kind in "biu"
    if is_colour and array.dtype.kind == "b":
        array = array * np.uint8(_BYTE)
    is_colour = is_colour and (array.dtype == np.uint8 or (array.size > 0 and 0 <= array.min() <= array.max() <= _BYTE))
    if array.dtype.kind not in "biuf" or (array.ndim != 2 and not is_colour):
        raise InputError(
            f"got a mask {array.shape} {array.dtype}; expected a file, a picture, or an array {size} of bool, whole"
            " numbers, or RGB of 0 to 255"
        )
    _check_size("the mask", (array.shape[0], array.shape[1]), size)
    return _label_map("the mask", _picture_of(array), size=size, is_jpeg=False)


def _array_of(mask: object) -> NDArray[Any]:
    """Lists, arrays and tensors as an array; an InputError for what is none of these."""
    try:
        # Tensors of some kinds have to be asked: with gradients, on a device, and of types that NumPy lacks
        for step in ("detach", "cpu", "resolve_conj"):
            mask = getattr(mask, step, lambda same=mask: same)()
        if str(getattr(mask, "dtype", "")).endswith("bfloat16"):
            mask = mask.float()  # type: ignore[attr-defined]
        return np.asarray(mask)
    except (TypeError, ValueError, RuntimeError) as exc:
        raise InputError(
            f"got a mask of type {type(mask).__name__} that is no array ({one_line(exc)[:_MAX_REASON]}); expected a"
            " file, a picture, or an array of the frame's size"
        ) from exc


def write_label_png(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 ids as a palette PNG: whole or not at all."""
    atomic_write(path, label_png(labels))


def label_png(labels: NDArray[np.uint8]) -> bytes:
    """(H, W) uint8 ids as a palette PNG with DAVIS colours; the same bytes every time."""
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"a label map is (H, W) uint8, got {labels.shape} {labels.dtype}")
    picture = Image.fromarray(labels)
    picture.putpalette(_PALETTE)
    data = io.BytesIO()
    # Pillow's own default, stated so that the bytes do not change with it.
    picture.save(data, format="PNG", compress_level=6)
    return data.getvalue()


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8 ids of a file that ``write_label_png`` wrote."""
    with Image.open(path) as picture:
        if picture.mode not in {"P", "L"}:
            raise InputError(f"{path}: got an image of mode {picture.mode}, expected a palette PNG; remove it")
        return np.array(picture, dtype=np.uint8)


def _picture_of(array: NDArray[Any]) -> Image.Image:
    """A picture with the values of an array: 8 bits where they fit, else 32."""
    if array.ndim == 3:
        return Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8))
    if array.dtype in (np.bool_, np.uint8):
        return Image.fromarray(np.ascontiguousarray(array))
    if array.dtype.kind == "f":
        return Image.fromarray(np.ascontiguousarray(array, dtype=np.float32))
    if array.size and (array.min() < np.iinfo(np.int32).min or array.max() > np.iinfo(np.int32).max):
        raise InputError(
            f"the mask: got values up to {array.max()}, expected ids of 32 bits at most; number the objects"
        )
    return Image.fromarray(np.ascontiguousarray(array, dtype=np.int32))


def _check_size(name: str, got: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse a mask of another (height, width) than the frame's."""
    if got != expected:
        shown = f"{got[1]}x{got[0]} but the frame is {expected[1]}x{expected[0]}"
        raise InputError(f"{name}: the mask is {shown}; masks are not resized, draw it anew")


def _label_map(name: str, picture: Image.Image, *, size: tuple[int, int], is_jpeg: bool) -> LabelMap:
    """The label map of a picture that is decoded, upright and of the frame's size."""
    try:
        found = read_mask_picture(picture)
    except PictureError as exc:
        raise InputError(f"{name}: {exc}") from exc
    assert found.classes.shape == size
    _refuse_unusable(name, found, is_jpeg=is_jpeg)
    _refuse_ambiguous(name, found)

    # Ids by class, and with them the label map
    ids = _numbering(found)
    table = np.array([0, *ids], dtype=np.uint8)
    return LabelMap(
        labels=table[found.classes],
        ids=tuple(sorted(ids)),
        mapping={found.name(value): object_id for value, object_id in zip(found.values, ids, strict=True)},
        notes=tuple(f"{name}: {note}" for note in (*found.notes, *_border_notes(found, ids))),
    )


def _refuse_unusable(name: str, found: MaskPicture, *, is_jpeg: bool) -> None:
    """Refuse what is empty, lossy, anti-aliased, or more than fits a label map."""
    values = list(found.values)
    if not values:
        raise InputError(f"{name}: the mask is empty (every pixel is background); draw at least one object")
    # Compression moves values by a little, so what a JPEG holds cannot be told from ids unless it is plain 0/255.
    is_lossy = is_jpeg and (found.is_colour or values != [255])
    ranks = found.classes if found.has_background else found.classes - 1
    if is_lossy or looks_soft(ranks, values, has_background=found.has_background) or _is_two_whites(found):
        raise InputError(f"{name}: {len(values)} values, {_SOFT}; {_SOFT_ADVICE}")
    if len(values) > MAX_OBJECTS:
        raise InputError(f"{name}: got {len(values)} objects, expected at most {MAX_OBJECTS}; use several runs")


def _is_two_whites(found: MaskPicture) -> bool:
    """Whether values such as 254 and 255 look like one white, beside nothing but what looks black."""
    if found.colours is None or len(found.values) < 2:
        return False
    # By what is shown: the indices of a palette are no levels
    levels = found.colours[1:].astype(int)
    white, black = (levels >= _NEARLY_WHITE).all(axis=1), (levels <= _NEARLY_BLACK).all(axis=1)
    return bool((white | black).all() and white.sum() >= 2)


def _refuse_ambiguous(name: str, found: MaskPicture) -> None:
    """Refuse values that are only the edge of something, and a background that is not marked as such."""
    if len(found.values) < 2:
        return
    # Grey levels without a gap are a careful numbering, which no smoothing makes
    colours, numbers = found.colours, list(range(1, len(found.values) + 1))
    is_numbered = False
    if colours is not None and list(found.values) == numbers:
        is_numbered = bool((colours == np.arange(len(colours))[:, None]).all())
    if colours is not None and not is_numbered:
        blend = blended_class(found.classes, colours) or speckled_class(found.classes, colours)
        if blend is not None:
            raise InputError(
                f"{name}: value {_value_name(found, blend)} is only an edge or a speckle, {_SOFT}; {_SOFT_ADVICE}"
            )
    rim = rim_class(found.classes, found.values)
    if rim is not None:
        raise InputError(
            f"{name}: value {_value_name(found, rim)} is only a rim around another object; paint it as background, or"
            " as part of the object"
        )

    # With objects alone, one that lies behind the others is most likely the background
    if not found.has_background and not _is_map_of_ids(found):
        wide = [number for number in range(1, len(found.values) + 1) if _is_along_border(found, number)]
        if wide:
            raise InputError(
                f"{name}: no pixel is background, and value {_value_name(found, wide[0])} covers the border; paint what"
                " is background black (0) or transparent"
            )


def _is_map_of_ids(found: MaskPicture) -> bool:
    """Whether a mask without background looks like a map in which every pixel has an id, such as a panoptic one.

    Paper is white or grey in a picture of colours, and white in one of greys; plots have the lowest colour of their
    colour map; two values are an object and its ground.
    """
    wide = [number for number in range(1, len(found.values) + 1) if _is_along_border(found, number)]
    if len(found.values) < _LEAST_IDS and not found.is_black_free:
        return False
    if found.colours is None:
        return not any(found.values[number - 1] in _GREY_WHITES for number in wide)
    shown = found.colours[wide].astype(int)
    is_grey = np.ptp(shown, axis=1) == 0 if found.is_colour else False
    if found.is_colour and any(found.values[number - 1] in _LOWEST_OF_COLOUR_MAPS for number in wide):
        return False
    return not ((shown >= _NEARLY_WHITE).all(axis=1) | is_grey).any()


def _border_notes(found: MaskPicture, ids: list[int]) -> list[str]:
    """A word on an object that covers nearly the whole border, as the background of an inverted mask does."""
    wide = [
        (number, object_id)
        for number, object_id in enumerate(ids, start=1)
        if len(ids) + found.has_background > 1 and _is_along_border(found, number)
    ]
    if found.has_background:
        return [
            f"object {object_id} covers nearly the whole border; if it is the background, invert the mask"
            for _, object_id in wide
        ]
    return [
        f"no pixel is background, so value {_value_name(found, number)}, which covers nearly the whole border, is"
        f" object {object_id}; paint it black (0) if it is the background"
        for number, object_id in wide
    ]


def _is_along_border(found: MaskPicture, number: int) -> bool:
    return border_share(found.classes == number) >= NEARLY_WHOLE


def _value_name(found: MaskPicture, number: int) -> str:
    return found.name(found.values[number - 1])


def _numbering(found: MaskPicture) -> list[int]:
    """The ids of the values, in their order."""
    values = list(found.values)
    whites: tuple[int, ...] = (_COLOUR_WHITE,) if found.is_colour else _GREY_WHITES
    is_plain = len(values) == 1 and values[0] in whites
    if found.is_colour or is_plain or values[-1] > MAX_OBJECTS or not found.keeps_numbers:
        return list(range(1, len(values) + 1))
    return values
