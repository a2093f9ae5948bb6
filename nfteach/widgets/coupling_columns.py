"""A coupling layer as columns and ribbons: x above, y below, and the ways of s and t between them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nfteach.jacobian.numbers import MINUS, bracketed, coordinate, fixed
from nfteach.widgets.parts import Area, Chart, Curves, Dots, Handle, Label, Mark

__all__ = ["WRITTEN", "columns", "value_at"]

# In pixels from the top left: where zero is for x and for y, and where s and t come from.
WIDTH, HEIGHT, UNIT = 560, 430, 21
ZERO = {"x": 70, "y": 358}
LIMIT = {"x": 3.0, "y": 3.3}  # values that have room in a column
MIDDLE = 211
WRITTEN = 8  # dimensions up to which names and numbers have room


def columns(local: SimpleNamespace) -> Chart:
    """Return the layer as columns: inputs above, outputs below, and the ways of s and t between them."""
    dim, hub = local.dim, _hub(local)
    written = dim <= WRITTEN
    rails = torch.tensor(
        [[[_across(k, dim), HEIGHT - ZERO[name] - side * LIMIT[name] * UNIT] for side in (-1, 1)]
         for k in range(dim) for name in "xy"]
    )  # fmt: skip
    zeros = torch.tensor([[[20.0, HEIGHT - ZERO[name]], [WIDTH, HEIGHT - ZERO[name]]] for name in "xy"])
    marks: dict[str, Mark] = {
        "rails": Curves(rails, color="rule", alpha=0.7),
        "zeros": Curves(zeros, color="rule", dash=True),
    }
    for name in "xy":
        for value in (-2, 0, 2):
            place = torch.tensor([8.0, HEIGHT - ZERO[name] + value * UNIT])
            marks[f"{name} = {value}"] = Label(place, str(value).replace("-", MINUS), color="soft")
    places = {name: _heights(name, getattr(local, name)) for name in "xy"}
    for k in local.kept:
        marks[f"ribbon {k + 1}"] = _source(local, k, hub, places)
    for n, i in enumerate(local.changed):
        marks |= _flows(local, n, i, hub)
    for k in local.kept:
        line = torch.stack([_at(_across(k, dim), places[name][k]) for name in "xy"])
        marks[f"line {k + 1}"] = Curves(line, width=2.5, links=(f"line{k + 1}",))
    for n, i in enumerate(local.changed):
        marks |= _operated(local, n, i, hub, places, written)
    marks["hub"] = Dots(
        torch.tensor([[hub, HEIGHT - MIDDLE]]), size=17 if written else 12, ring=True, alpha=1.0, color="ink"
    )
    marks["s, t"] = Label(torch.tensor([hub, HEIGHT - MIDDLE]), "s, t", size=14 if written else 10, italic=True)
    for k in range(dim):
        marks |= _ends(local, k, places, written)
    return Chart(marks, x=(0, WIDTH), y=(0, HEIGHT), ticks=(), axis=False, width=WIDTH, height=HEIGHT)


def _across(k: int, dim: int) -> float:
    return 20 + (WIDTH - 28) * (k + 0.5) / dim


def _heights(name: str, values: Tensor) -> Tensor:
    """Return how high (D,) values stand, those beyond the column at its end."""
    return HEIGHT - ZERO[name] + UNIT * values.clamp(-LIMIT[name], LIMIT[name])


def value_at(name: str, up: Tensor) -> Tensor:
    """Return the value of x or y (``name``) that stands at a height."""
    return (HEIGHT - ZERO[name] - up) / -UNIT


def _at(across: float, up: Tensor) -> Tensor:
    return torch.stack([torch.full_like(up, across), up])


def _hub(local: SimpleNamespace) -> float:
    """Return where s and t are computed: between inputs that pass and those that change, or else near the middle."""
    passes = local.layer.mask.tolist()
    parted = [gap for gap in range(1, local.dim) if len({*passes[:gap]}) == len({*passes[gap:]}) == 1]
    gap = parted[0] if parted else local.dim // 2
    return (_across(gap - 1, local.dim) + _across(gap, local.dim)) / 2


def _lane(local: SimpleNamespace, i: int, hub: float) -> tuple[float, float, float]:
    """Return the heights at which s and t reach the column i, and on which side of the hub it stands.

    The nearest column has the innermost lanes, so that none cross.
    """
    columns = {k: _across(k, local.dim) - hub for k in local.changed}
    side = math.copysign(1, columns[i])
    same = sorted(abs(away) for away in columns.values() if away * side > 0)
    rank, step = same.index(abs(columns[i])), min(17.0, 58 / max(len(same) - 1, 1))
    return HEIGHT - MIDDLE + 14 + step * rank, HEIGHT - MIDDLE - 14 - step * rank, side


def _bezier(corners: Tensor, points: int = 20) -> Tensor:
    """Return points of a cubic with four corners (4, 2)."""
    t = torch.linspace(0, 1, points, dtype=corners.dtype)[:, None]
    a, b, c, d = corners
    return a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t**2 * (1 - t) + d * t**3


def _ribbon(path: Tensor, width: Tensor | float) -> Tensor:
    """Return the outline (2 N, 2) of a ribbon along a path (N, 2)."""
    along = torch.cat([path[1:2] - path[:1], path[2:] - path[:-2], path[-1:] - path[-2:-1]])
    along = along / along.norm(dim=1, keepdim=True).clamp_min(1e-9)
    aside = 0.5 * width * torch.stack([-along[:, 1], along[:, 0]], 1)
    return torch.cat([path + aside, (path - aside).flip(0)])


def _source(local: SimpleNamespace, k: int, hub: float, places: dict[str, Tensor]) -> Area:
    """Return the grey ribbon from an input that passes to the networks; it hugs the ink that they read."""
    across, middle = _across(k, local.dim), HEIGHT - MIDDLE
    side = math.copysign(1, hub - across)
    away = -32 if local.back else 32
    start = places["y"][k] + 12 if local.back else places["x"][k] - 12
    corners = [[across, middle + away], [across, middle], [across + 20 * side, middle], [hub - 17 * side, middle]]
    path = torch.cat([_at(across, start)[None], _bezier(torch.tensor(corners, dtype=start.dtype))])
    width = min(8.0, 0.3 * WIDTH / local.dim)
    return Area(_ribbon(path, width), alpha=0.2, links=(f"read{k + 1}",))


def _flows(local: SimpleNamespace, n: int, i: int, hub: float) -> dict[str, Mark]:
    """Return the ribbons of s and t to a column: width and colour are the values."""
    above, below, side = _lane(local, i, hub)
    across, middle = _across(i, local.dim), HEIGHT - MIDDLE
    nearest = min(abs(_across(k, local.dim) - hub) for k in local.changed)
    begin, bend = hub + 16 * side, side * min(max(nearest - 26, 14), 64)
    most = 14.0 if local.dim <= WRITTEN else 7.0
    marks: dict[str, Mark] = {}
    for name, value, lane in (("s", local.s[n], above), ("t", local.t[n], below)):
        off = lane - middle
        corners = [(0.0, middle + 0.12 * off), (0.5, middle + 0.2 * off), (0.4, lane), (1.0, lane)]
        corners = [(begin + part * bend, up) for part, up in corners]
        curve = _bezier(torch.tensor(corners, dtype=value.dtype))
        path = torch.cat([curve, torch.tensor([[across, lane]], dtype=value.dtype)])
        size = value.abs()
        marks[f"{name} {i + 1}"] = Area(
            _ribbon(path, 1.5 + most * size / (0.6 + size)), alpha=0.26 + 0.39 * size / (1 + size), color="neg",
            toward="pos", shade=(value > 0).double(), links=(f"{name}{i + 1}",),
            visible=~local.still if name == "s" else True,
        )  # fmt: skip
    return marks


def _operated(
    local: SimpleNamespace, n: int, i: int, hub: float, places: dict[str, Tensor], written: bool
) -> dict[str, Mark]:
    """Return the column of a number that changes: times exp(s), plus t, or back again."""
    across, dim = _across(i, local.dim), local.dim
    above, below, side = _lane(local, i, hub)
    stops = [places["x"][i], *(torch.full_like(places["x"][i], stop) for stop in (above, below)), places["y"][i]]
    marks: dict[str, Mark] = {}
    # Blue as x, grey on the way, orange as y.
    for part, shade in enumerate((0.0, 0.5, 1.0)):
        line = torch.stack([_at(across, stops[part]), _at(across, stops[part + 1])])
        marks[f"line {i + 1} {'abc'[part]}"] = Curves(
            line, width=2.0, color="z", toward="x", shade=shade, links=(f"line{i + 1}",)
        )
    signs = ("\N{DIVISION SIGN}", MINUS) if local.back else ("\N{MULTIPLICATION SIGN}", "+")
    values = (fixed(local.s[n].exp()), bracketed(local.t[n]))
    for name, sign, value, lane in zip("st", signs, values, (above, below), strict=True):
        place = torch.tensor([across, lane])
        look: dict[str, Any] = {"links": (f"{name}{i + 1}",), "visible": ~local.still if name == "s" else True}
        marks[f"{name} {i + 1} at"] = Dots(
            place[None], size=8 if written else min(5, 0.25 * WIDTH / dim), ring=True, alpha=1.0, color="soft", **look
        )
        if written:
            marks[f"{name} {i + 1} sign"] = Label(place, sign, size=14, **look)
            marks[f"{name} {i + 1} value"] = Label(
                place, value, anchor="start" if side > 0 else "end", shift=13 * side, **look
            )
    return marks


def _ends(local: SimpleNamespace, k: int, places: dict[str, Tensor], written: bool) -> dict[str, Mark]:
    """Return both ends of a column: a ring where a number is given, a dot where it follows."""
    across, changes = _across(k, local.dim), k in local.changed
    marks: dict[str, Mark] = {}
    for name, color in (("x", "z" if changes else "ink"), ("y", "x" if changes else "ink")):
        label, place = coordinate(name, k), _at(across, places[name][k])
        links = (f"{name}{k + 1}",)
        value = getattr(local, name)[k]
        if (name == "y") == local.back:
            why = "it is not in s, so det J stays" if changes else "s and t follow"
            look = {
                "label": label if written else "",
                "help": f"drag {label}: {why}",
                "step": 0.1 * UNIT,
                "value": fixed(value),
            }
            marks[f"{name}{k + 1}"] = Handle(place, color=color, links=links, **look)
        else:
            look = {"labels": (label if written else "",), "size": 6 if written else 4, "alpha": 1.0}
            marks[f"{name}{k + 1}"] = Dots(place[None], color=color, links=links, **look)
        beyond = torch.tensor([[-5.0, 11.0], [0.0, 17.0], [5.0, 11.0]], dtype=value.dtype)
        wedge = place + beyond * torch.stack([torch.ones_like(value), value.sign()])
        marks[f"{name}{k + 1} beyond"] = Area(
            wedge, alpha=1.0, color=color, links=links, visible=value.abs() > LIMIT[name]
        )
    return marks


# ---- J -----------------------------------------------------------------------------------------------------------
