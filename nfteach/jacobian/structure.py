"""Jacobians at many points -> the name of the structure that they share, and the determinant it makes cheap."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .families import FAMILIES, IMPLIED, NAMES, Look

__all__ = ["NAMES", "Structure", "recognise"]


@dataclass(frozen=True, eq=False)
class Structure:
    """What a Jacobian looks like at every point looked at, whatever its values.

    Attributes:
        name: one of ``NAMES``, the most special that holds at every point.
        dim: D.
        points: the number of points looked at.
        ordering: the order of the inputs (columns of J) that shows the structure; for the triangular ones, output after
            output needs only the inputs that come earlier.
        row_ordering: the order of the outputs (rows of J) to go with it; differs from ``ordering`` only where the map
            also moves dimensions about.
        blocks: groups of inputs, in the order of ``ordering``: for a coupling (kept, changed), for block diagonal its
            blocks, for dense the strongly connected groups; else one group.
        rank: the rank of J - I (r for "identity plus rank r"), the largest over the points.
        cost: of the determinant, once the structure is known.
        log_det: log|det J| (P,) in nats at every point looked at, by the structure's own short cut.
        zero: (D, D) bool, True where J is zero at every point.
        one: (D, D) bool, True where J is one at every point.
        also: the other names that hold too.
        how: one or two sentences: how it was recognised, and why the determinant is cheap.
    """

    name: str
    dim: int
    points: int
    ordering: tuple[int, ...]
    row_ordering: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    rank: int
    cost: str
    log_det: Tensor
    zero: Tensor
    one: Tensor
    also: tuple[str, ...]
    how: str

    @property
    def reordered(self) -> bool:
        """Whether the structure shows only after rows or columns are reordered."""
        natural = tuple(range(self.dim))
        return self.ordering != natural or self.row_ordering != natural


def recognise(J: Tensor, *, eps: float | None = None) -> Structure:
    """Name the structure that the Jacobians J (P, D, D) share.

    An entry counts as zero if at *every* point it is below ``450 eps`` times the geometric mean of the largest
    entries of its row and of its column: a zero that a dead ReLU makes at one point is filled at another, and a true
    entry is not lost because its row or column is small.

    Args:
        J: (P, D, D), finite.
        eps: the rounding unit of the arithmetic that J comes from; that of its dtype if not given.

    Example:
        >>> recognise(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])).name
        'lower triangular'
    """
    if J.dim() != 3 or J.shape[1] != J.shape[2] or J.shape[0] == 0:
        raise ValueError(f"J must have the shape (points, D, D), but has {tuple(J.shape)}")
    tol = 450 * (torch.finfo(J.dtype).eps if eps is None else eps)
    largest = J.abs().amax(0)
    scale = (largest.amax(1, keepdim=True) * largest.amax(0, keepdim=True)).sqrt()
    zero = largest <= tol * scale
    one = (J - 1).abs().amax(0) <= tol
    look = Look(J, zero, one, tol)

    names, facts = [], {}
    for name, family in FAMILIES:
        # What goes without saying once the name is known is not looked into.
        if names and (name == "dense" or name in IMPLIED.get(names[0], ())):
            continue
        if (found := family(look)) is not None:
            names.append(name)
            facts = facts or found
    natural = tuple(range(look.dim))
    facts = {"ordering": natural, "row_ordering": facts.get("ordering", natural), "blocks": (natural,)} | facts
    log_det = facts.pop("log_det")()
    return Structure(
        name=names[0],
        dim=look.dim,
        points=len(J),
        rank=look.rank,
        zero=zero,
        one=one,
        also=tuple(names[1:]),
        log_det=log_det,
        **facts,
    )
