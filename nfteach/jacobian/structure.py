"""Jacobians at many points -> the name of the structure that they share, and the determinant it makes cheap."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .families import FAMILIES, IMPLIED, NAMES, by_elimination, looks, orthogonal

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


def recognise(J: Tensor, *, eps: float | None = None, stored: float = 0.0) -> Structure:
    """Name the structure that the Jacobians J (P, D, D) share.

    An entry counts as zero if it is zero at *every* point: a zero that a dead ReLU makes at one point is filled at
    another. It is zero at a point if it is below ``eps ** 0.75`` times the geometric mean of the largest entries of
    its row and of its column, so that an entry is not lost because its row or column is small. And what is left out so
    must not matter: a structure is believed only if its log-det is that of J by elimination.

    Args:
        J: (P, D, D), finite.
        eps: the rounding unit of the arithmetic that J comes from; that of its dtype if not given.
        stored: the rounding unit of the numbers that the map holds, where that is coarser: an orthogonal matrix that is
            kept in float32 is orthogonal to seven digits only, whatever it is multiplied in.

    Raises:
        ValueError: if J has another shape, or holds what is no finite real number.

    Example:
        >>> recognise(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]])).name
        'lower triangular'
    """
    if J.dim() != 3 or J.shape[1] != J.shape[2] or J.numel() == 0:
        raise ValueError(f"J must have the shape (points, D, D), but has {tuple(J.shape)}")
    if not J.is_floating_point() or not J.isfinite().all():
        bad = int((~J.isfinite()).sum())
        raise ValueError(f"J must hold finite real numbers, but has {bad} NaN or infinite and the dtype {J.dtype}")
    if eps is None:
        eps = torch.finfo(J.dtype).eps
    J = J.detach().to("cpu", torch.float64)
    log_det, allowed = by_elimination(J, eps)
    seen = looks(J, eps)

    names, facts = [], {}
    for name, family in FAMILIES:
        # What goes without saying once the name is known is not looked into.
        if names and (name == "dense" or name in IMPLIED.get(names[0], ())):
            continue
        for look in seen:
            found = family(look)
            # A short cut to another determinant has left out what was small, but no rounding.
            if found is not None and not ((found["log_det"] - log_det).abs() > allowed).any():
                names.append(name)
                facts = facts or found | {"zero": look.zero, "rank": look.rank}
                break
    if names == ["dense"] and stored > eps and (found := orthogonal(looks(J, stored)[0])) is not None:
        names, facts = ["orthogonal"], {**found, "zero": facts["zero"], "rank": facts["rank"]}
        facts["how"] += " It does so to the precision in which its numbers are stored."
    natural = tuple(range(J.shape[-1]))
    facts = {"ordering": natural, "row_ordering": facts.get("ordering", natural), "blocks": (natural,)} | facts
    return Structure(names[0], dim=len(natural), points=len(J), one=seen[0].one, also=tuple(names[1:]), **facts)
