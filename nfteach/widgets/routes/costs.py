"""What a determinant costs, counted in multiply-adds, by the structure of the Jacobian."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["COSTS", "coupling", "elimination", "rank_one", "triangular"]


def elimination(D: int) -> int:
    """Of a dense J: elimination (LU), D^3 / 3 in the main.

    Step k of D - 1 divides the D - k entries below the pivot by it, and takes multiples of the pivot's row from as many
    rows of D - k entries: the sum of (D - k) + (D - k)^2 is (D^3 - D) / 3. Then come the D factors on the diagonal.
    """
    return (D**3 - D) // 3 + D


def triangular(D: int) -> int:
    """Of a triangular J: the D factors on the diagonal."""
    return D


def rank_one(D: int) -> int:
    """Of J = I + u v^T: the D products of 1 + u.v (the matrix determinant lemma)."""
    return D


def coupling(D: int) -> int:
    """Of a coupling layer that passes d = D // 2 dimensions: the sum of the D - d values of s."""
    return D - D // 2


COSTS: dict[str, Callable[[int], int]] = {
    "dense, by LU": elimination,
    "triangular": triangular,
    "identity + rank one": rank_one,
    "coupling": coupling,
}
"""By structure: D -> multiply-adds of one determinant, once the numbers of J that it needs are there."""
