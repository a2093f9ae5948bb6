"""Parts: errors that name what is wrong, and every kind of part and mark as matplotlib prints it."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

from nfteach.widgets import parts
from nfteach.widgets.parts import (
    Arrows,
    Curves,
    Dots,
    Gauge,
    Handle,
    Mark,
    Matrix,
    Number,
    Part,
    Pixels,
    Plane,
    flatten,
)
from nfteach.widgets.stage.packing import rows_of
from nfteach.widgets.stage.printed import figure_of, to_png
from tests.explorers.kinds import LINE, MARKS, PARTS


def printed(picture, **readout):
    """Return the pixels (rows, columns, RGBA) that matplotlib prints."""
    rows = rows_of({label: Number(value) for label, value in readout.items()})
    return np.asarray(Image.open(io.BytesIO(to_png(figure_of(flatten(picture), rows), pixel_ratio=1))).convert("RGBA"))


def kinds(base):
    """Return the names of all public kinds of marks or parts."""
    every = {name: getattr(parts, name) for name in parts.__all__ if isinstance(getattr(parts, name), type)}
    return {name for name, kind in every.items() if issubclass(kind, base) and kind is not base}


def test_every_kind_is_listed_here():
    assert kinds(Mark) == set(MARKS)
    assert kinds(Part) == set(PARTS)


@pytest.mark.parametrize("kind", MARKS)
def test_every_mark_is_printed_and_a_hidden_one_is_not(kind):
    empty, full, hidden = (
        printed({"plane": Plane(marks)})
        for marks in ({}, {"it": MARKS[kind]}, {"it": dataclasses.replace(MARKS[kind], visible=torch.tensor(False))})
    )
    assert full.shape == empty.shape
    assert (full != empty).any(axis=2).sum() > 20
    assert np.array_equal(hidden, empty)


@pytest.mark.parametrize("kind", ["Curves", "Dots", "Area", "Density", "Arrows", "Label", "Handle"])
def test_a_mark_has_the_colour_of_its_role(kind):
    empty = printed({"plane": Plane({})})
    colours = {}
    for role in ("z", "x"):
        full = printed({"plane": Plane({"it": dataclasses.replace(MARKS[kind], color=role)})})
        colours[role] = full[(full != empty).any(axis=2)].astype(float)
    blue, orange = (colours[role][colours[role][:, 3] > 20] for role in ("z", "x"))
    assert (blue[:, 2] - blue[:, 0]).mean() > 20, "z is blue"
    assert (orange[:, 0] - orange[:, 2]).mean() > 20, "x is orange"


@pytest.mark.parametrize("kind", PARTS)
def test_every_part_is_printed_on_a_transparent_ground_with_its_title(kind):
    full = printed({"it": PARTS[kind]})
    assert (full[..., 3] > 30).sum() > 100
    assert (full[..., 3] == 0).mean() > 0.3
    titled = printed({"it": dataclasses.replace(PARTS[kind], title="a title")})
    assert (titled[..., 3] > 30).sum() > (full[..., 3] > 30).sum()


@pytest.mark.parametrize(
    "options",
    [
        {"border": torch.tensor(2.0)},
        {"lines": torch.tensor([[0, 0, 3, 4, 3]])},
        {"words": ("", "a", *[""] * 14)},
        {"lit": torch.tensor([[0, 0, 1], [0, 2, 1]])},
        {"chosen": torch.tensor([0])},
        {"outline": torch.zeros(1, 4, 4, dtype=torch.bool)},
        {"titles": ("below",)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_additions_to_pixels_are_printed(options):
    plain, more = (printed({"it": Pixels(torch.eye(4)[None], **one)}) for one in ({}, options))
    rows = min(len(plain), len(more))  # a title needs room
    assert (plain[:rows] != more[:rows]).any(axis=2).sum() > 20 or len(more) > len(plain)


def test_the_numbers_are_printed():
    plain, told = printed({"it": PARTS["Plane"]}), printed({"it": PARTS["Plane"]}, det=1.5)
    right = slice(590, 840)
    assert (told[:100, right, 3] > 30).sum() > (plain[:100, right, 3] > 30).sum()


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ({"plane": Dots(LINE)}, "plane must be a part, such as a Plane or a Matrix, but is Dots"),
        ({"plane": Plane({"J": Matrix(torch.eye(2))})}, "plane/J must be a mark, such as Curves, but is Matrix"),
        ({"a": Plane({"b": Dots(LINE)}), "b": Plane({})}, "two parts or marks are called 'b'"),
        ({"a": Plane({"b": Dots(LINE, color="red")})}, "the colour of a/b must be one of z, x, .*, but is 'red'"),
        ({"a": Plane({"b": Dots(LINE / 0)})}, r"a/b.points has 40 of 40 numbers that are NaN or infinite"),
        ({"a": Plane({"b": Dots(torch.zeros(3))})}, r"a/b.points must be a tensor of shape \(n, 2\), but has \(3,\)"),
        ({"a": Plane({"b": Dots([[0.0, 1.0]])})}, r"a/b.points must be a tensor of shape \(n, 2\), but is \[\["),
        (
            {"a": Plane({"b": Curves(torch.zeros(2, 3))})},
            r"must be a tensor of shape \(lines, points, 2\) or \(points, 2\), but has \(2, 3\)",
        ),
        (
            {"a": Plane({"b": Arrows(torch.zeros(2, 2), torch.zeros(3, 2))})},
            r"a/b.tips must have the shape of tails, \(2, 2\), but has \(3, 2\)",
        ),
        (
            {"J": Matrix(torch.eye(2), zero=torch.zeros(3, 3, dtype=torch.bool))},
            r"J.zero must have the shape of values, \(2, 2\), but has \(3, 3\)",
        ),
        ({"a": Plane({"b": Dots(LINE + 1j)})}, "a/b.points must hold real numbers, but is of type complex64"),
        ({"a": Pixels(torch.eye(3))}, r"a.ink must be a tensor of shape \(images, rows, columns\), but has \(3, 3\)"),
    ],
)
def test_a_fault_is_refused_by_name(picture, words):
    with pytest.raises(ValueError, match=words):
        flatten(picture)


def test_a_picture_becomes_plain_values_and_arrays_by_path():
    flat = flatten(
        {"plane": Plane({"dot": Handle(torch.zeros(2), visible=torch.tensor(False), angle=torch.tensor(3))})}
    )
    assert list(flat) == ["plane", "plane/dot"]
    assert flat["plane"]["kind"] == "Plane"
    assert "marks" not in flat["plane"]
    dot = flat["plane/dot"]
    assert (dot["visible"], dot["angle"]) == (False, 3.0)
    assert (type(dot["at"]), dot["at"].dtype) == (np.ndarray, np.float32)


def test_a_gauge_stands_at_its_number():
    number = Number(torch.tensor(0.5), gauge=Gauge((-1.0, 1.0), zone=(-1.0, 0.0), given=torch.tensor(0.25)))
    ((*_, gauge),) = rows_of({"it": number})
    assert (gauge["value"], gauge["given"], gauge["range"], gauge["zone"]) == (0.5, 0.25, (-1.0, 1.0), (-1.0, 0.0))
