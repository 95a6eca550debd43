"""Masks as pictures: which pixels are background and which are of the same object, as a picture viewer shows them.

The stored numbers are ids where that fits the picture; what the colours, the transparency and the orientation say comes
first. `docs/reference/inputs.md` has the rule in full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from persam_hq.io.pictures import PictureError
from persam_hq.io.soft_masks import ragged_values

__all__ = ["MaskPicture", "border_share", "read_mask_picture"]

NEARLY_WHOLE: Final = 0.9
"""A value that covers this share of the border's pixels is what the objects lie on, or lies behind everything."""
_SOLID: Final = 128
"""Alpha from which on a pixel is opaque: the middle of a feathered edge."""
_FLAT_SHARE: Final = 0.9
"""Where most pixels of a half-transparent colour have nearly its highest alpha, it is an area and no feathered edge."""
_MAX_PALE: Final = 256
"""Colours that are looked at for being half-transparent objects; a photo's thousands are no mask anyway."""
_DARKEST: Final = 16
"""Channels up to this look black, as lossy conversions make it; no colour of DAVIS is as dark."""
_BLACK: Final = 0
_LEAST_OF_PHOTO: Final = 8
"""Colours of a photo at least that hardly have a pixel among their own kind, and that fill half of it."""
_CUT_OUT: Final = 255


@dataclass(frozen=True, slots=True, eq=False)
class MaskPicture:
    """Classes of pixels, (H, W) int64 with 0 = background and 1, 2, ... in rising order of their stored values.

    values: the stored number of each class from 1 on, a palette index, grey level or 0xRRGGBB; colours: (N + 1, 3)
    uint8 as shown, the background's first, None where samples have more than 8 bits. keeps_numbers: values may be ids
    as they are. notes: what a user should know of the reading, a line each. is_black_free: index 0 of the palette is
    black and not in use, so that background could have been painted.
    """

    classes: NDArray[np.int64]
    values: tuple[int, ...]
    is_colour: bool
    keeps_numbers: bool = True
    colours: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = field(default=())
    is_black_free: bool = False

    @property
    def has_background(self) -> bool:
        """Whether any pixel is background."""
        return bool((self.classes == 0).any())

    def name(self, value: int) -> str:
        """A value as a user knows it from an editor."""
        return f"#{value:06x}" if self.is_colour else str(value)


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Stored values (H, W) int64, what each looks like, and which pixels are not opaque."""

    values: NDArray[np.int64]
    is_colour: bool
    shown: Callable[[NDArray[np.int64]], NDArray[np.uint8]] | None
    clear: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


def read_mask_picture(picture: Image.Image) -> MaskPicture:
    """Read a picture that is decoded and upright; PictureError where it is ambiguous what is background."""
    layer = _layer_of(picture)
    if layer.values.size and layer.values.min() < 0:
        raise PictureError(f"got the negative value {layer.values.min()}, expected 0 or more; save it as 8-bit PNG")
    clear = layer.clear
    present = np.unique(layer.values if clear is None else layer.values[~clear])
    if picture.mode in {"P", "PA"} and not layer.notes and not _is_grey_ramp(layer, present):
        found = _background_of_palette(layer, present)
    else:
        found = _background_of_values(layer, present)
    return _classified(layer, present, found)


def border_share(chosen: NDArray[np.bool_]) -> float:
    """The share of an area (H, W) in the pixels along the border of the frame."""
    border = np.concatenate([chosen[0], chosen[-1], chosen[1:-1, 0], chosen[1:-1, -1]])
    return float(border.mean())


# Stored values


def _layer_of(picture: Image.Image) -> _Layer:
    """The stored values of a picture by its mode, and its transparency."""
    mode, info = picture.mode, picture.info
    if mode in {"La", "RGBa"}:
        return _layer_of(picture.convert({"La": "LA", "RGBa": "RGBA"}[mode]))

    # A channel of transparency, or a palette that has some
    if mode in {"LA", "RGBA", "PA"}:
        base = picture.getchannel(0) if mode != "RGBA" else picture.convert("RGB")
        if mode == "PA":
            base.putpalette(picture.getpalette("RGB") or [])
        return _with_alpha(_layer_of(base), np.asarray(picture.getchannel("A")))
    if mode == "P":
        return _palette_layer(picture)

    # Grey levels up to 32 bits, fractions that are whole numbers, and colours; one of them may stand for transparent
    if mode in {"1", "L"} or mode[0] in "IF":
        layer = _grey_layer(np.asarray(picture))
        key = info.get("transparency")
        return replace(layer, clear=layer.values == key) if isinstance(key, int) else layer
    rgb = np.asarray(picture.convert("RGB"))
    layer = _colour_layer(rgb.astype(np.int64))
    key = info.get("transparency")
    return replace(layer, clear=(rgb == key).all(axis=2)) if isinstance(key, tuple) and mode == "RGB" else layer


def _grey_layer(samples: NDArray[Any]) -> _Layer:
    if samples.dtype.kind == "f" and not (np.isfinite(samples).all() and (np.rint(samples) == samples).all()):
        raise PictureError("got a mask of fractions, expected whole numbers; save it as 8-bit PNG")
    values = samples.astype(np.int64)
    # A pixel of one bit is shown as white
    scale = 255 if samples.dtype == np.bool_ else 1
    shows = samples.dtype in (np.bool_, np.uint8)
    return _Layer(values, is_colour=False, shown=(lambda v: _grey(v * scale)) if shows else None)


def _grey(levels: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.repeat(levels.astype(np.uint8)[..., None], 3, axis=-1)


def _colour_layer(rgb: NDArray[np.int64]) -> _Layer:
    """One value per colour; a colour image that holds greys only counts as grey."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    if (red == green).all() and (green == blue).all():
        return _Layer(red, is_colour=False, shown=_grey)

    def shown(codes: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)

    return _Layer(red << 16 | green << 8 | blue, is_colour=True, shown=shown)


def _palette_layer(picture: Image.Image) -> _Layer:
    """Indices, with the colours of the palette; transparent ones are no part of it."""
    indices = np.asarray(picture)
    alpha = np.full(256, 255, np.uint8)
    key = picture.info.get("transparency")
    if isinstance(key, bytes):
        alpha[: len(key)] = np.frombuffer(key[:256], np.uint8)
    elif isinstance(key, int):
        alpha[key] = 0
    if ((alpha > 0) & (alpha < 255))[np.unique(indices)].any():
        return _layer_of(picture.convert("RGBA"))

    # A palette may be shorter than the indices; what is missing is black
    palette = np.zeros(768, np.uint8)
    entries = np.array(picture.getpalette("RGB") or [], np.uint8)[:768]
    palette[: entries.size] = entries
    table = palette.reshape(256, 3)
    layer = _Layer(indices.astype(np.int64), is_colour=False, shown=lambda v: table[v])
    is_clear = (alpha == 0)[indices]
    if not is_clear.any():
        return layer
    return _cut_out(layer, ~is_clear) or replace(layer, clear=is_clear)


def _with_alpha(layer: _Layer, alpha: NDArray[np.uint8]) -> _Layer:
    """A layer without the pixels that are more than half transparent, unless they are an area of their own."""
    opaque = alpha >= _SOLID
    if (cut_out := _cut_out(layer, opaque)) is not None:
        return cut_out
    pale = ~opaque & (alpha > 0)
    if pale.any():
        lost = np.setdiff1d(layer.values[pale], layer.values[opaque])
        # An object that was painted half-transparent has one alpha, and a feathered edge many
        for value in lost[:_MAX_PALE]:
            own = alpha[pale & (layer.values == value)]
            if (own >= _FLAT_SHARE * own.max()).mean() >= 1 / 2:
                opaque |= (layer.values == value) & (alpha > own.max() // 2)
    clear = ~opaque if layer.clear is None else ~opaque | layer.clear
    return replace(layer, clear=clear if clear.any() else None)


def _cut_out(layer: _Layer, opaque: NDArray[np.bool_]) -> _Layer | None:
    """All that is opaque as one object, where that is a photo of it; None for everything else."""
    if opaque.all() or not opaque.any():
        return None
    # Colours of a photo are single pixels, those of a drawing are areas, whatever its edges are
    colours, ranks = np.unique(np.where(opaque, layer.values, -1), return_inverse=True)
    ranks = ranks.reshape(layer.values.shape)
    ragged = ragged_values(ranks, len(colours))
    ragged[0] = False
    if ragged.sum() < _LEAST_OF_PHOTO or ragged[ranks].sum() * 2 < opaque.sum():
        return None
    note = f"{len(colours) - 1} colours on transparent ground, as of a photo that was cut out: one object"
    return _Layer(
        np.where(opaque, _CUT_OUT, _BLACK).astype(np.int64),
        is_colour=False,
        shown=_grey,
        clear=~opaque,
        notes=(note,),
    )


# Background


@dataclass(frozen=True, slots=True)
class _Found:
    """The values that are background, and what a user should know of it."""

    background: frozenset[int]
    notes: tuple[str, ...] = ()
    is_black_free: bool = False


def _is_grey_ramp(layer: _Layer, present: NDArray[np.int64]) -> bool:
    """Whether the palette shows each index as the grey of that level, so that it is no more than grey levels."""
    assert layer.shown is not None
    return bool((layer.shown(present) == _grey(present)).all()) if present.size and present[-1] <= 255 else False


def _background_of_values(layer: _Layer, present: NDArray[np.int64]) -> _Found:
    """Of grey levels and colours 0 and black are background; where that leaves only them, what is transparent."""
    objects = present[present != _BLACK]
    if layer.clear is None or len(objects) == len(present):
        return _Found(frozenset({_BLACK}))
    if not len(objects):
        return _Found(frozenset())
    return _Found(frozenset({_BLACK}), ("black counts as background beside what is transparent",))


def _background_of_palette(layer: _Layer, present: NDArray[np.int64]) -> _Found:
    """Of palettes the transparent and the black are background; index 0 where nothing is black."""
    assert layer.shown is not None
    brightest = layer.shown(present).max(axis=1)
    black = frozenset(int(value) for value in present[brightest == 0])
    # A lossy conversion leaves a black that is nearly one
    if not black and (brightest > _DARKEST).any():
        black = frozenset(int(value) for value in present[brightest <= _DARKEST])
    if layer.clear is not None:
        return _background_of_values(layer, present) if 0 in black else _Found(frozenset())

    # As ids have it: index 0 is black, or every index is (a palette without colours)
    if 0 in black or len(black) == len(present):
        others = sorted(black - {0})
        shown = ", ".join(map(str, others))
        return _Found(
            frozenset({0}), (f"shown as black like the background: {shown}; taken as objects",) if others else ()
        )
    if 0 not in present:
        is_free = not black and not layer.shown(np.zeros(1, np.int64)).any()
        return _Found(black, is_black_free=is_free)
    return _index_0_or_black(layer, present, black)


def _index_0_or_black(layer: _Layer, present: NDArray[np.int64], black: frozenset[int]) -> _Found:
    """The background where index 0 has a colour: what lies along the border decides between it and black."""
    shares = {int(value): border_share(layer.values == value) for value in present}
    if shares[0] >= NEARLY_WHOLE:
        return _Found(frozenset({0}))
    if black:
        if shares[0] > sum(shares[value] for value in black) > 0:
            raise PictureError(
                "index 0 of the palette has a colour, another index is black, and both lie along the border:"
                " one of them is background; make index 0 black, or save the mask as grey with 0 as background"
            )
        return _Found(black, ("index 0 of the palette has a colour, so it is an object; black is background",))
    if max(shares.values()) >= NEARLY_WHOLE:
        raise PictureError(
            "nothing is black or transparent, and another colour than index 0 covers the border: it is ambiguous what"
            " is background; make it black"
        )
    return _Found(frozenset({0}))


def _classified(layer: _Layer, present: NDArray[np.int64], found: _Found) -> MaskPicture:
    """Classes in rising order of their values, those of the background 0."""
    objects = np.array([value for value in present if int(value) not in found.background], np.int64)
    ranks = np.searchsorted(objects, layer.values).clip(0, max(len(objects) - 1, 0))
    is_object = objects[ranks] == layer.values if len(objects) else np.zeros(layer.values.shape, np.bool_)
    if layer.clear is not None:
        is_object &= ~layer.clear

    # Where several values are background its colour is that of the first
    colours = None
    if layer.shown is not None:
        ground = np.array(sorted(found.background)[:1] or [0], np.int64)
        colours = layer.shown(np.concatenate([ground, objects]))
    return MaskPicture(
        classes=np.where(is_object, ranks + 1, 0),
        values=tuple(int(value) for value in objects),
        is_colour=layer.is_colour,
        keeps_numbers=0 not in objects,
        colours=colours,
        notes=(*layer.notes, *found.notes),
        is_black_free=found.is_black_free,
    )
