"""The heat map of one Jacobian as a small inline SVG, for light and dark pages."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from itertools import pairwise

import torch
from torch import Tensor

from ..numbers import cell, coordinate, number
from ..structure import Structure
from .scale import NEGATIVE, POSITIVE, opacity, signed

__all__ = ["CELLS_UP_TO", "NUMBERS_UP_TO", "heat_map", "legend", "thumbnail"]

NUMBERS_UP_TO = 8  # entries are written out up to this D,
LABELS_UP_TO = 16  # rows and columns are labelled up to this,
CELLS_UP_TO = 64  # every entry has its own cell up to this; above, one cell gathers several
# From so many dimensions on, dots would be a haze; a zero is then its empty cell alone.
DOTS_UP_TO = 24

INK, MUTED = "var(--jp-ui-font-color1, currentColor)", "var(--jp-ui-font-color2, currentColor)"


def heat_map(J: Tensor, structure: Structure, rows: tuple[int, ...], columns: tuple[int, ...], *, blocks: bool) -> str:
    """Return an SVG picture of J (D, D) with its rows and columns in the given order.

    Structural zeros are a dot and ones a bold 1 (a bar where cells are small), both without a fill; free entries are
    purple below zero and green above, and carry their number where D is small. ``blocks`` outlines the structure's
    blocks, which is right only in the structure's own order.
    """
    at = torch.tensor(rows)[:, None], torch.tensor(columns)
    J, zero, one, side = _gather(J[at], structure.zero[at], structure.one[at])
    n = len(J)
    size = 52 if n <= 4 else 44 if n <= NUMBERS_UP_TO else max(6, 352 // n)
    left, top = (34, 22) if structure.dim <= LABELS_UP_TO else (4, 4)
    body = _cells(J, zero, one, size)
    if structure.dim <= NUMBERS_UP_TO:
        body += _numbers(J, zero, one, size)
    if blocks:
        body += _outlines(structure, size / side)
    if structure.dim <= LABELS_UP_TO:
        body += _labels(rows, columns, size)
    width, height = left + n * size + 4, top + n * size + 4
    label = f"Heat map of the {structure.dim} by {structure.dim} Jacobian, {structure.name}"
    return (
        f'<svg role="img" aria-label="{label}" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<g transform="translate({left} {top})">{body}</g></svg>'
    )


def thumbnail(J: Tensor, structure: Structure) -> str:
    """Return an SVG of J (D, D), D up to ``CELLS_UP_TO``: the heat map's cells without numbers and labels."""
    n = structure.dim
    side = 72 if n <= 8 else 96 if n <= 16 else 120
    size = max(side // n, 6) if n > 2 else 28  # below 6 units a cell cannot hold its marks: drawn large, then scaled
    shown, whole = min(n * size, side), n * size + 2
    return (
        f'<svg role="img" aria-label="Heat map, {structure.name}" width="{shown}" height="{shown}" '
        f'viewBox="-1 -1 {whole} {whole}">{_cells(J, structure.zero, structure.one, size, DOTS_UP_TO)}</svg>'
    )


def _cells(J: Tensor, zero: Tensor, one: Tensor, size: int, dots_up_to: int = CELLS_UP_TO) -> str:
    n = len(J)
    dots = _zeros(zero, size) if n <= dots_up_to else ""
    frame = f'<rect width="{n * size}" height="{n * size}" fill="none" stroke="{MUTED}"/>'
    return _colours(J, zero, one, size) + dots + _ones(one & ~zero, size) + frame


def legend(J: Tensor, structure: Structure) -> str:
    """Return the meaning of the marks and colours of the heat map, as HTML."""
    largest = number(float(_largest(J, structure.zero, structure.one)))
    gathered = _side(structure.dim)
    cells = f" Each cell gathers {gathered} x {gathered} entries and shows the largest." if gathered > 1 else ""
    key = '<svg width="18" height="18" viewBox="0 0 18 18">{}</svg>'
    zero = key.format(f'<circle cx="9" cy="9" r="2" fill="{MUTED}"/>')
    one = key.format(f'<text x="9" y="13" text-anchor="middle" font-size="12" font-weight="700" fill="{INK}">1</text>')
    alphas = (
        (255 * opacity(torch.linspace(0, 1, 9) * _largest(J, structure.zero, structure.one))).round().int().tolist()
    )
    stops = [f"{NEGATIVE}{alpha:02x}" for alpha in reversed(alphas)] + [f"{POSITIVE}{alpha:02x}" for alpha in alphas]
    bar = f'<span class="bar" style="background:linear-gradient(90deg,{",".join(stops)})"></span>'
    return (
        f'<div class="legend"><span>{zero} 0 at every point</span><span>{one} 1 at every point</span>'
        f"<span>free: −{largest} {bar} +{largest}</span>{cells}</div>"
    )


def _side(dim: int) -> int:
    return -(-dim // CELLS_UP_TO)


def _gather(J: Tensor, zero: Tensor, one: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Gather side x side entries in a cell: the largest; zero if all are; one if there are ones and zeros only."""
    side = _side(len(J))
    if side == 1:
        return J, zero, one, 1
    pad = -len(J) % side

    def cells(values: Tensor, fill: float) -> Tensor:
        padded = torch.nn.functional.pad(values.double(), (0, pad, 0, pad), value=fill)
        n = len(padded) // side
        return padded.reshape(n, side, n, side).transpose(1, 2).reshape(n, n, side * side)

    entries, always_zero, always_one = cells(J, 0), cells(zero, 1) > 0, cells(one, 0) > 0
    largest = entries.gather(2, entries.abs().argmax(2, keepdim=True)).squeeze(2)
    return largest, always_zero.all(2), (always_zero | always_one).all(2) & always_one.any(2), side


def _largest(J: Tensor, zero: Tensor, one: Tensor) -> Tensor:
    free = J.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).abs()[~zero & ~one]
    return free.max() if len(free) else J.new_tensor(1.0)


def _colours(J: Tensor, zero: Tensor, one: Tensor, size: int) -> str:
    """Return all cells as one PNG with a pixel for each, which the browser enlarges: small for any number of cells."""
    pixels = 255 * signed(J)
    pixels[zero | one] = 0
    n = len(J)
    data = base64.b64encode(_png(pixels.round().to(torch.uint8))).decode()
    return (
        f'<image width="{n * size}" height="{n * size}" preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _png(pixels: Tensor) -> bytes:
    """Return the PNG file of bytes (height, width, 4)."""
    height, width, _ = pixels.shape
    # Each row begins with its filter, none.
    rows = torch.cat([pixels.new_zeros(height, 1), pixels.reshape(height, -1)], 1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = zlib.compress(bytes(rows.flatten().tolist()), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _zeros(zero: Tensor, size: int) -> str:
    """Draw a dot in every zero cell. A run of cells is one line of dashes of no length with round ends: dots."""
    half = size / 2
    lines = [
        f"M{run.start() * size + half:g} {i * size + half:g}h{(len(run[0]) - 1) * size + 0.01:g}"
        for i, row in enumerate(zero.int().tolist())
        for run in re.finditer("1+", "".join(map(str, row)))
    ]
    width = min(4, max(1.4, size / 7))
    return (
        f'<path d="{"".join(lines)}" fill="none" stroke="{MUTED}" stroke-width="{width:g}" stroke-linecap="round" '
        f'stroke-dasharray="0 {size}" opacity=".55"/>'
    )


def _ones(one: Tensor, size: int) -> str:
    where = one.nonzero().tolist()
    if size >= 12:
        font = min(15, size * 0.7)
        return "".join(
            f'<text x="{(j + 0.5) * size:g}" y="{(i + 0.5) * size + font * 0.35:g}" text-anchor="middle" '
            f'font-size="{font:g}" font-weight="700" fill="{INK}">1</text>'
            for i, j in where
        )
    bars = "".join(f"M{(j + 0.5) * size:g} {(i + 0.2) * size:g}v{0.6 * size:g}" for i, j in where)
    return f'<path d="{bars}" stroke="{INK}" stroke-width="1.4"/>'


def _numbers(J: Tensor, zero: Tensor, one: Tensor, size: int) -> str:
    return "".join(
        f'<text x="{(j + 0.5) * size:g}" y="{(i + 0.5) * size + 4:g}" text-anchor="middle" font-size="12" '
        f'fill="{INK}">{cell(float(J[i, j]), smallest=0.005)}</text>'
        for i, j in (~zero & ~one).nonzero().tolist()
    )


def _labels(rows: tuple[int, ...], columns: tuple[int, ...], size: int) -> str:
    font = min(13, max(9, size // 2))
    style = f'font-size="{font}" fill="{MUTED}"'
    names = [
        f'<text x="{(j + 0.5) * size:g}" y="-7" text-anchor="middle" {style}>{coordinate("x", column)}</text>'
        for j, column in enumerate(columns)
    ]
    names += [
        f'<text x="-7" y="{(i + 0.5) * size + 4:g}" text-anchor="end" {style}>{coordinate("y", row)}</text>'
        for i, row in enumerate(rows)
    ]
    return "".join(names)


def _outlines(structure: Structure, size: float) -> str:
    """Outline the blocks of the structure, or the staircase of a triangle, in the structure's own order."""
    ends = [0]
    for block in structure.blocks:
        ends.append(ends[-1] + len(block))
    if "triangular" in structure.name and structure.name != "upper triangular":
        steps = "".join(f"h{size:g}v{size:g}" for _ in range(structure.dim)) if structure.dim <= CELLS_UP_TO else ""
        path = f"M0 0{steps}H0Z" if steps else f"M0 0L{structure.dim * size:g} {structure.dim * size:g}H0Z"
    elif len(ends) > 2:
        path = "".join(f"M{a * size:g} {a * size:g}H{b * size:g}V{b * size:g}H{a * size:g}Z" for a, b in pairwise(ends))
        if structure.name == "coupling":
            cut, end = ends[1] * size, ends[2] * size
            path += f"M0 {cut:g}V{end:g}H{cut:g}V{cut:g}Z"
    else:
        return ""
    return f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="2" stroke-linejoin="round"/>'
