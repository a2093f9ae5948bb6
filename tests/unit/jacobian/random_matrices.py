"""Random Jacobians of every structure, hidden by permutations, scales, rounding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

__all__ = ["MADE", "Case", "make"]

# The least D of each structure that can be made.
MADE = {
    "identity": 1,
    "diagonal": 1,
    "permutation": 2,
    "lower triangular": 2,
    "upper triangular": 2,
    "triangular up to a permutation": 2,
    "coupling": 2,
    "identity plus rank one": 2,
    "identity plus rank r": 3,
    "orthogonal": 2,
    "block diagonal": 3,
    "dense": 2,
}
# No permutation keeps these, and only renaming the dimensions (rows and columns alike) keeps those.
FIXED = ("lower triangular", "upper triangular")
RENAMED = (*FIXED, "identity", "diagonal", "identity plus rank one", "identity plus rank r")


@dataclass(frozen=True)
class Case:
    """J (P, D, D) in float64, made to have the structure ``name``.

    Attributes:
        eps: the rounding unit that the entries were rounded with.
        filled: (D, D) bool, where J was given entries.
        rank: that of J - I where the structure is about it, else None.
        kept: the inputs that a coupling passes through, else ().
        blocks: the inputs of each block of a block diagonal, else ().
    """

    name: str
    J: Tensor
    eps: float
    filled: Tensor
    rank: int | None = None
    kept: tuple[int, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()


class _Random:
    """Draws from a generator of its own."""

    def __init__(self, seed: int) -> None:
        self.g = torch.Generator().manual_seed(seed)

    def below(self, n: int) -> int:
        return int(torch.randint(n, (), generator=self.g))

    def order(self, n: int) -> Tensor:
        return torch.randperm(n, generator=self.g)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.g, dtype=torch.float64)

    def full(self, *shape: int) -> Tensor:
        """Sizes from 0.2 to 0.8, with both signs."""
        sign = torch.randint(0, 2, shape, generator=self.g) * 2.0 - 1
        return sign * (0.2 + 0.6 * torch.rand(*shape, generator=self.g, dtype=torch.float64))

    def spread(self, points: int, n: int, condition: float) -> Tensor:
        """(points, n) sizes of any order whose largest is ``condition`` times the least, in both signs."""
        place = torch.rand(points, n, generator=self.g, dtype=torch.float64)
        place[:, 0], place[:, -1] = 0, 1 if n > 1 else 0
        sizes = condition ** (0.5 - place) * self.full(points, n).sign() * 0.9
        return sizes[:, self.order(n)]

    def conditioned(self, points: int, n: int, condition: float) -> Tensor:
        """(points, n, n) of singular values that spread over ``condition``."""
        U, V = (torch.linalg.qr(self.normal(points, n, n)).Q for _ in range(2))
        return U * self.spread(points, n, condition)[:, None] @ V

    def graded_triangle(self, points: int, n: int, condition: float) -> Tensor:
        """(points, n, n) lower triangular, every entry below the diagonal filled, rows and columns of unequal size."""
        # Over sqrt(n), so that the inverse of the triangle grows with its spread of sizes and not exponentially with n.
        J = self.full(points, n, n).tril(-1) / n**0.5 + torch.diag_embed(self.full(points, n))
        rows, columns = (self.spread(points, n, condition**0.5).abs() for _ in range(2))
        return J * rows[:, :, None] * columns[:, None, :]

    def sizes(self, n: int) -> list[int]:
        """A partition of n into at least two parts, not all of them ones."""
        while True:
            cuts = sorted({1 + self.below(n - 1) for _ in range(1 + self.below(3))})
            parts = [b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
            if max(parts) > 1:
                return parts


def make(
    name: str,
    dim: int,
    *,
    seed: int,
    points: int = 1,
    condition: float = 1.0,
    scale: float = 1.0,
    inner: float = 1.0,
    shuffle: str = "none",
    single: bool = False,
) -> Case:
    """A random case of the structure ``name`` of ``MADE``.

    Args:
        condition: of diagonals, of blocks, of the dense; 1 / |1 + v·u| for rank one.
        scale: of all entries, where the structure allows it; of u and U for I + u v', of s for a coupling.
        inner: of v and V for I + u v', of t for a coupling; else unused.
        shuffle: "none", "same" (rows and columns alike) or "apart", where the structure allows it.
        single: whether J is rounded to float32.
    """
    r = _Random(seed)
    kept, blocks, rank = (), (), None
    eye = torch.eye(dim, dtype=torch.float64).repeat(points, 1, 1)
    if name == "identity":
        J, rank = eye, 0
    elif name == "permutation":
        order = torch.arange(dim)
        while order.equal(torch.arange(dim)):
            order = r.order(dim)
        J = eye[:, order]
    elif name == "diagonal":
        J = scale * torch.diag_embed(r.spread(points, dim, condition))
    elif name in ("lower triangular", "triangular up to a permutation"):
        J = scale * r.graded_triangle(points, dim, condition)
    elif name == "upper triangular":
        J = scale * r.graded_triangle(points, dim, condition).mT
    elif name == "coupling":
        d = 1 + r.below(dim - 1)
        J, kept = eye, tuple(range(d))
        J[:, d:, :d] = inner * r.full(points, dim - d, d)
        diagonal = torch.diag_embed(r.spread(points, dim - d, condition))
        # With one dimension kept, a triangle below it would be a triangle like any other.
        inside = r.graded_triangle(points, dim - d, condition) if d > 1 and r.below(2) else diagonal
        J[:, d:, d:] = scale * inside
    elif name == "identity plus rank one":
        u, v, rank = scale * r.full(points, dim, 1), inner * r.full(points, dim, 1), 1
        if condition > 1:  # move u along v to where 1 + v·u is small
            missing = 1 / condition - 1 - (v * u).sum(1, keepdim=True)
            u = u + missing * v / (v * v).sum(1, keepdim=True)
        J = eye + u @ v.mT
    elif name == "identity plus rank r":
        rank = 2 + r.below(dim - 2)
        U, V = (torch.linalg.qr(r.normal(points, dim, rank)).Q * r.spread(points, rank, 4.0)[:, None] for _ in range(2))
        J = eye + (scale * U) @ (inner * V).mT
    elif name == "orthogonal":
        J = torch.linalg.qr(r.normal(points, dim, dim)).Q
    elif name == "block diagonal":
        ends = np.cumsum([0, *r.sizes(dim)]).tolist()
        blocks = tuple(tuple(range(a, b)) for a, b in pairwise(ends))
        J = torch.zeros(points, dim, dim, dtype=torch.float64)
        for a, b in pairwise(ends):
            J[:, a:b, a:b] = scale * r.conditioned(points, b - a, condition)
    else:
        J = scale * r.conditioned(points, dim, condition)

    columns = r.order(dim) if shuffle != "none" and name not in FIXED else torch.arange(dim)
    rows = r.order(dim) if shuffle == "apart" and name not in RENAMED else columns
    J = J[:, rows][:, :, columns]
    place = columns.argsort()  # where input j of the natural order stands now
    if single:
        J = J.float().double()
    return Case(
        name=name,
        J=J,
        eps=torch.finfo(torch.float32 if single else torch.float64).eps,
        filled=(J != 0).any(0),
        rank=rank,
        kept=tuple(sorted(place[list(kept)].tolist())),
        blocks=tuple(tuple(sorted(place[list(block)].tolist())) for block in blocks),
    )
