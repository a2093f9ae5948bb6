"""The document that a report is shown as: sections of paragraphs, tables and matrices, for every renderer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from ..finding import Finding
from ..numbers import brief
from ..structure import Structure

__all__ = ["Card", "Document", "Formula", "Matrix", "Order", "Section", "Table", "translated"]

T = TypeVar("T")


@dataclass(frozen=True)
class Formula:
    """A formula in TeX, and as plain text."""

    tex: str
    plain: str


class Order(NamedTuple):
    """An order of rows and columns in which a matrix is shown; ``blocks`` if those of its structure are outlined."""

    caption: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    blocks: bool


@dataclass(frozen=True, eq=False)
class Matrix:
    """A Jacobian (D, D) at one point with its structure, in one or more orders."""

    J: Tensor
    structure: Structure
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows of cells, all of one length, the first of them the heading if ``head``.

    Attributes:
        left: the number of columns that are aligned to the left; the others are aligned to the right.
        wrap: the columns whose cells may be broken into lines.
        spare: the columns that are left out where there is no room, the last first.
        pictures: a matrix for each row below the heading, for renderers that draw.
    """

    rows: tuple[tuple[str, ...], ...]
    head: bool = True
    left: int = 1
    wrap: tuple[int, ...] = (0,)
    spare: tuple[int, ...] = ()
    pictures: tuple[Matrix | None, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, at once to be seen if ``open``; the others may be folded."""

    title: str
    parts: tuple[str | Formula | Table | Matrix, ...]
    open: bool = False


@dataclass(frozen=True)
class Card:
    """A finding, and where it was found."""

    error: bool
    code: str
    message: str
    facts: str = ""
    where: str = ""

    @classmethod
    def of(cls, finding: Finding, where: str = "") -> Card:
        facts = ", ".join(f"{key} {brief(value)}" for key, value in finding.evidence.items())
        return cls(finding.severity == "error", finding.code, finding.message, facts, where)


@dataclass(frozen=True)
class Document:
    """A report in parts: ``tag`` is the name of the structure, ``about`` how the map was looked at.

    ``state`` is "good", "bad", or "part" if nothing is wrong and not all was compared.
    """

    title: str
    tag: str
    about: str
    verdict: str
    state: str
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]


def translated(part: T, words: Callable[[str], str]) -> T:
    """Return a part of a document with ``words`` applied to every text in it."""
    if isinstance(part, str):
        return words(part)
    if isinstance(part, Order):
        return part._replace(caption=words(part.caption))
    if isinstance(part, tuple):
        return tuple(translated(each, words) for each in part)
    if isinstance(part, Formula | Matrix | Table | Section | Card | Document):
        changed: dict[str, Any] = {f.name: translated(getattr(part, f.name), words) for f in fields(part)}
        return replace(part, **changed)
    return part
