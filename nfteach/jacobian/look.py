"""Facts about Jacobians at many points that hold but for rounding: what is zero, what is one, what rank."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Look", "by_elimination", "looks"]


@dataclass(frozen=True, eq=False)
class Look:
    """What the families of structures ask of J.

    Attributes:
        J: (P, D, D), finite, in float64.
        zero: (D, D) bool, True where J is zero at every point.
        one: (D, D) bool, True where J is one at every point.
        rank: the rank of J - I, the largest over the points.
        tol: what is less than this, beside what stands around it, may be rounding.
    """

    J: Tensor
    zero: Tensor
    one: Tensor
    rank: int
    tol: float

    @property
    def dim(self) -> int:
        return self.J.shape[-1]

    @property
    def eye(self) -> Tensor:
        return torch.eye(self.dim, dtype=self.J.dtype)


def looks(J: Tensor, eps: float) -> list[Look]:
    """One or two looks at J (P, D, D): as it is but for rounding; then, if that shows more in it, as it stands.

    The first forgives 54 eps in float32, which has no digits to spare, and 8,000 eps in float64, which has. What is
    small beside its neighbours may be rounding by the first look; by the second it is an entry, and only what is 0
    exactly is zero.
    """
    tol = eps**0.75
    ranks = _ranks(J, (tol, 4 * eps))
    one = ((J - 1).abs() <= tol).all(0)
    first = Look(J, (J.abs() <= tol * _size(J)).all(0), one, ranks[0], tol)
    second = replace(first, zero=(J == 0).all(0), rank=ranks[1])
    more = second.rank > first.rank or not second.zero.equal(first.zero)
    return [first, second] if more else [first]


def _size(J: Tensor) -> Tensor:
    """(P, D, D) what an entry is small beside: the geometric mean of the largest of its row and of its column."""
    entries = J.abs().sqrt()
    return entries.amax(2, keepdim=True) * entries.amax(1, keepdim=True)


def _ranks(J: Tensor, floors: tuple[float, ...]) -> list[int]:
    """The rank of J - I, the largest over the points, once for each floor below which a singular value is zero."""
    eye = torch.eye(J.shape[-1], dtype=J.dtype)
    floor = torch.tensor(floors, dtype=J.dtype)[:, None] * len(eye) ** 0.5
    ranks = torch.zeros(len(floors), dtype=torch.long)
    for at_point in J:
        values = torch.linalg.svdvals(at_point - eye)
        # Forming J - I loses what is below eps beside the ones, so the ones set the floor too.
        ranks = ranks.maximum((values > floor * values[0].clamp(min=1)).sum(1))
        if (ranks == len(eye)).all():
            break
    return ranks.tolist()


def by_elimination(J: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """log|det J| (P,) by LU, and how far a short cut may be from it in nats (P,): what the rounding of J explains.

    When J moves by E, log|det J| moves by tr(J⁻¹ E), to first order. Infinite where rounding leaves no digit.
    """
    log_det = torch.linalg.slogdet(J).logabsdet
    moves = torch.linalg.matrix_norm(torch.linalg.inv_ex(J).inverse.mT * _size(J)).nan_to_num(nan=torch.inf)
    # Between eps, what the last operation rounded, and what `looks` forgives.
    share = moves * eps**0.875
    allowed = torch.where(share < 1, -torch.log1p(-share), torch.inf)
    return log_det, allowed + 1e-14 * log_det.abs()
