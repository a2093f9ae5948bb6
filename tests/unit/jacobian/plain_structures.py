"""What each structure is, by the plainest test or by trying everything; and what its determinant costs."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
from torch import Tensor

__all__ = ["COSTS", "NARROWER", "holds", "name_by_trying_everything", "rank_is_at_most"]

# The narrower first: of all that hold, the first is the name.
NARROWER = (
    "identity",
    "permutation",
    "diagonal",
    "coupling",
    "identity plus rank one",
    "lower triangular",
    "upper triangular",
    "triangular up to a permutation",
    "orthogonal",
    "identity plus rank r",
    "block diagonal",
    "dense",
)
COSTS = {
    "identity": "O(1)",
    "diagonal": "O(D)",
    "permutation": "O(1)",
    "lower triangular": "O(D)",
    "upper triangular": "O(D)",
    "triangular up to a permutation": "O(D)",
    "coupling": "O(D - d)",
    "identity plus rank one": "O(D)",
    "identity plus rank r": "O(D r²)",
    "orthogonal": "O(1)",
    "dense": "O(D³)",
}


def holds(name: str, J: Tensor, eps: float, rows: tuple[int, ...], columns: tuple[int, ...]) -> bool:
    """Whether J (P, D, D) has the structure ``name`` in the order given, by the plainest test of it, to ``_slack``."""
    slack = _slack(eps)
    dim = J.shape[-1]
    A = J.numpy()
    eye = np.eye(dim)

    def nothing(part: np.ndarray, beside: np.ndarray) -> bool:
        rows, columns = (abs(beside).max(axis, keepdims=True) for axis in (2, 1))
        return bool((abs(part) <= slack * np.sqrt(rows * columns)).all())

    def triangular(B: np.ndarray) -> bool:
        return nothing(np.triu(B, 1), B)

    ordered = A[:, list(rows)][:, :, list(columns)]
    if name == "identity":
        return bool(abs(A - eye).max() <= slack)
    if name == "permutation":
        return bool(abs(ordered - eye).max() <= slack)
    if name == "diagonal":
        return nothing(A * (1 - eye), A)
    if name == "lower triangular":
        return triangular(A)
    if name == "upper triangular":
        return triangular(A.transpose(0, 2, 1))
    if name == "triangular up to a permutation":
        return triangular(ordered)
    if name == "coupling":
        d = int((abs(ordered - eye) <= slack).all((0, 2)).cumprod().sum())
        return d > 0 and triangular(ordered)
    if name.startswith("identity plus rank"):
        return rank_is_at_most(1 if name.endswith("one") else dim - 1, J, eps)
    if name == "orthogonal":
        return bool(abs(A @ A.transpose(0, 2, 1) - eye).max() <= slack * dim**0.5)
    if name == "block diagonal":
        split = [k for k in range(1, dim) if nothing(_corners(ordered, k), ordered)]
        return bool(split)
    return name == "dense"


def rank_is_at_most(rank: int, J: Tensor, eps: float) -> bool:
    """Whether J - I (P, D, D) has at most ``rank`` singular values that are more than rounding, at every point."""
    dim = J.shape[-1]
    values = np.linalg.svd(J.numpy() - np.eye(dim), compute_uv=False)
    return bool((values[:, rank:] <= _slack(eps) * dim**0.5 * np.maximum(1, values[:, :1])).all())


def name_by_trying_everything(J: Tensor) -> str:
    """The name of J (P, D, D), D small, not singular, entries 0, 1 or nowhere near: by definition and brute force."""
    A = J.numpy()
    dim = A.shape[-1]
    eye, filled = np.eye(dim), (A != 0).any(0)
    if np.array_equal(A, eye[None].repeat(len(A), 0)):
        return "identity"
    unit_rows = [i for i in range(dim) if filled[i].sum() == 1 and (A[:, i][:, filled[i]] == 1).all()]
    if len(unit_rows) == dim:
        return "permutation"
    if not filled[eye == 0].any():
        return "diagonal"
    kept = [int(filled[i].argmax()) for i in unit_rows]
    rows, columns = ([i for i in range(dim) if i not in taken] for taken in (unit_rows, kept))
    inside = filled[np.ix_(rows, columns)]
    coupled = unit_rows and filled[np.ix_(rows, kept)].any() and _pairings(inside) == 1
    # One row of the identity and a triangle below it make any triangle.
    if coupled and (len(unit_rows) > 1 or inside.sum() == len(rows)):
        return "coupling"
    rank = max(np.linalg.matrix_rank(B - eye, tol=1e-9) for B in A)
    if rank == 1:
        return "identity plus rank one"
    if not np.triu(filled, 1).any():
        return "lower triangular"
    if not np.tril(filled, -1).any():
        return "upper triangular"
    if _pairings(filled) == 1:
        return "triangular up to a permutation"
    if np.allclose(A @ A.transpose(0, 2, 1), eye, atol=1e-9):
        return "orthogonal"
    if rank < dim:
        return "identity plus rank r"
    for size in range(1, dim):
        for some in map(list, combinations(range(dim), size)):
            others = [j for j in range(dim) if j not in some]
            touched = filled[:, some].any(1)
            if touched.sum() == size and not filled[touched][:, others].any():
                return "block diagonal"
    return "dense"


def _pairings(filled: np.ndarray) -> int:
    """The number of ways to pair rows with columns at entries.

    It is one exactly if some order of rows and columns makes the matrix triangular with no zero on the diagonal.
    """
    n = len(filled)
    return sum(all(filled[i, p[i]] for i in range(n)) for p in permutations(range(n)))


def _slack(eps: float) -> float:
    """Some hundred roundings of float32; more of float64, which has digits to spare."""
    return 1e-11 if eps < 1e-12 else 1e-5


def _corners(A: np.ndarray, k: int) -> np.ndarray:
    """A without the two blocks that meet at k on its diagonal."""
    rest = A.copy()
    rest[:, :k, :k] = rest[:, k:, k:] = 0
    return rest
