"""The families of Jacobians with a cheap determinant: how each is told, and its short cut to log|det J|."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .pattern import block_triangular_form, components, matching, topological_order

__all__ = ["FAMILIES", "IMPLIED", "NAMES", "Look"]

NAMES = (
    "identity",
    "diagonal",
    "permutation",
    "lower triangular",
    "upper triangular",
    "triangular up to a permutation",
    "coupling",
    "identity plus rank one",
    "identity plus rank r",
    "orthogonal",
    "block diagonal",
    "dense",
)


@dataclass(frozen=True, eq=False)
class Look:
    """The facts about J (P, D, D) that the candidates below share."""

    J: Tensor
    zero: Tensor
    one: Tensor
    tol: float

    @property
    def dim(self) -> int:
        return self.J.shape[-1]

    @property
    def eye(self) -> Tensor:
        return torch.eye(self.dim, dtype=self.J.dtype)

    @cached_property
    def rank(self) -> int:
        """The rank of J - I, the largest over the points."""
        rank = 0
        for J in self.J:
            values = torch.linalg.svdvals(J - self.eye)
            # Forming J - I loses what is below eps beside the ones, so the ones set the floor too.
            rank = max(rank, int((values > self.tol * self.dim**0.5 * values[0].clamp(min=1)).sum()))
            if rank == self.dim:
                break
        return rank


def _log_abs(values: Tensor) -> Tensor:
    return values.abs().log().sum(-1)


def _diagonal_of(look: Look, rows: tuple[int, ...], columns: tuple[int, ...]) -> Tensor:
    return look.J[:, torch.tensor(rows), torch.tensor(columns)]


def _identity(look: Look) -> dict | None:
    if not torch.equal(look.one, look.eye.bool()) or not torch.equal(look.zero, ~look.eye.bool()):
        return None
    return {
        "cost": "O(1)",
        "log_det": lambda: look.J.new_zeros(len(look.J)),
        "how": "Every diagonal entry is 1 and every other is 0: nothing is stretched, so log|det J| = 0.",
    }


def _permutation(look: Look) -> dict | None:
    moves = look.one & ~look.zero
    if not ((moves | look.zero).all() and (moves.sum(0) == 1).all() and (moves.sum(1) == 1).all()):
        return None
    return {
        "ordering": tuple(moves.int().argmax(1).tolist()),
        "row_ordering": tuple(range(look.dim)),
        "cost": "O(1)",
        "log_det": lambda: look.J.new_zeros(len(look.J)),
        "how": "Each row and each column holds a single 1: dimensions change places and nothing is stretched, "
        "so log|det J| = 0.",
    }


def _diagonal(look: Look) -> dict | None:
    if not (look.zero | look.eye.bool()).all():
        return None
    return {
        "cost": "O(D)",
        "log_det": lambda: _log_abs(look.J.diagonal(dim1=1, dim2=2)),
        "how": "Every entry off the diagonal is 0: output i moves with input i only, and the determinant is "
        "the product of the diagonal.",
    }


def _coupling(look: Look) -> dict | None:
    kept_rows = ((look.one | look.zero).all(1) & ((~look.zero).sum(1) == 1)).nonzero().flatten().tolist()
    kept = [int((~look.zero[row]).nonzero()) for row in kept_rows]
    rows = [i for i in range(look.dim) if i not in kept_rows]
    columns = [j for j in range(look.dim) if j not in kept]
    if not kept or not rows or len(rows) != len(columns):
        return None
    block = ~look.zero[rows][:, columns]
    order = topological_order(block)
    # Every triangular map with ones on the diagonal begins with one kept row: that alone makes no coupling.
    if order is None or (len(kept) == 1 and int(block.sum()) > len(rows)):
        return None
    changed_rows, changed = [rows[i] for i in order[0]], [columns[j] for j in order[1]]
    if look.zero[changed_rows][:, kept].all():
        return None  # the changed part does not look at the kept part: nothing is coupled
    return {
        "ordering": (*kept, *changed),
        "row_ordering": (*kept_rows, *changed_rows),
        "blocks": (tuple(kept), tuple(changed)),
        "cost": "O(D - d)",
        "log_det": lambda: _log_abs(_diagonal_of(look, changed_rows, changed)),
        "how": f"d = {len(kept)} of the outputs are inputs passed through unchanged (rows that are all 0 but for "
        f"one 1). The other {len(changed)} outputs lean on these as they like, in a block that never enters the "
        f"determinant; among themselves they are {'diagonal' if int(block.sum()) == len(rows) else 'triangular'}. "
        "So det J is the product of that diagonal.",
    }


def _rank_one(look: Look) -> dict | None:
    if look.dim < 2 or look.rank != 1:
        return None
    # det(I + u v') = 1 + v.u, and v.u is the trace of u v' (the matrix determinant lemma).
    trace = (look.J - look.eye).diagonal(dim1=1, dim2=2).sum(1)
    return {
        "cost": "O(D)",
        "log_det": lambda: (1 + trace).abs().log(),
        "how": "J - I has a single non-zero singular value at each point: J = I + u vᵀ for some u and v. By the "
        "matrix determinant lemma det J = 1 + v·u, and v·u is the trace of J - I.",
    }


def _rank_r(look: Look) -> dict | None:
    rank = look.rank
    if not 2 <= rank < look.dim:
        return None

    def log_det() -> Tensor:
        U, s, V = torch.linalg.svd(look.J - look.eye)
        inner = (s[:, :rank, None] * V[:, :rank]) @ U[:, :, :rank]
        return torch.linalg.slogdet(torch.eye(rank, dtype=inner.dtype) + inner).logabsdet

    return {
        "cost": "O(D r²)",
        "log_det": log_det,
        "how": f"J - I has {rank} non-zero singular values, fewer than D = {look.dim}: J = I + U Vᵀ with U and V "
        f"of {rank} columns. By Sylvester's identity det J = det(I + Vᵀ U), a determinant of size {rank} only.",
    }


def _lower(look: Look) -> dict | None:
    if not look.zero.triu(1).equal((~look.eye.bool()).triu(1)):
        return None
    return {
        "cost": "O(D)",
        "log_det": lambda: _log_abs(look.J.diagonal(dim1=1, dim2=2)),
        "how": "Every entry above the diagonal is 0: output i depends on inputs 1 to i only. The entries below the "
        "diagonal never enter the determinant, which is the product of the diagonal.",
    }


def _upper(look: Look) -> dict | None:
    if not look.zero.tril(-1).equal((~look.eye.bool()).tril(-1)):
        return None
    return {
        "ordering": tuple(reversed(range(look.dim))),
        "cost": "O(D)",
        "log_det": lambda: _log_abs(look.J.diagonal(dim1=1, dim2=2)),
        "how": "Every entry below the diagonal is 0: output i depends on inputs i to D only. The entries above the "
        "diagonal never enter the determinant, which is the product of the diagonal.",
    }


def _triangular(look: Look) -> dict | None:
    order = topological_order(~look.zero)
    if order is None:
        return None
    rows, columns = order
    what = "dimensions" if rows == columns else "outputs and inputs"
    return {
        "ordering": columns,
        "row_ordering": rows,
        "cost": "O(D)",
        "log_det": lambda: _log_abs(_diagonal_of(look, rows, columns)),
        "how": f"The {what} never depend on each other in a circle, so they can be put in an order in which each "
        "output needs only inputs that come before it, or beside it on the diagonal. In that order J is lower "
        "triangular, and the determinant is, but for its sign, the product of the diagonal.",
    }


def _orthogonal(look: Look) -> dict | None:
    if (look.J @ look.J.mT - look.eye).abs().max() > look.tol * look.dim**0.5:
        return None
    return {
        "cost": "O(1)",
        "log_det": lambda: look.J.new_zeros(len(look.J)),
        "how": "J Jᵀ = I at each point: the map turns or mirrors and stretches nothing, so log|det J| = 0.",
    }


def _block_diagonal(look: Look) -> dict | None:
    blocks = components(~look.zero)
    if len(blocks) < 2 or any(len(rows) != len(columns) for rows, columns in blocks):
        return None

    def log_det() -> Tensor:
        parts = [look.J[:, torch.tensor(rows)][:, :, torch.tensor(columns)] for rows, columns in blocks]
        return torch.stack([torch.linalg.slogdet(part).logabsdet for part in parts]).sum(0)

    sizes = [len(columns) for _, columns in blocks]
    return {
        "ordering": tuple(j for _, columns in blocks for j in columns),
        "row_ordering": tuple(i for rows, _ in blocks for i in rows),
        "blocks": tuple(columns for _, columns in blocks),
        "cost": f"O(Σ n³), block sizes n up to {max(sizes)}",
        "log_det": log_det,
        "how": f"The dimensions fall into {len(blocks)} groups that do not see each other. The determinant is the "
        f"product of the {len(blocks)} small determinants.",
    }


def _dense(look: Look) -> dict:
    pattern = ~look.zero
    columns = matching(pattern)
    facts = {"cost": "O(D³)", "log_det": lambda: torch.linalg.slogdet(look.J).logabsdet}
    plain = "No short cut was found: the determinant needs an elimination (LU)"
    if columns is None:
        return facts | {"how": f"{plain}, and the zeros alone make it 0: some outputs share too few inputs."}
    groups = block_triangular_form(pattern[:, torch.tensor(columns)])
    if len(groups) == 1:
        return facts | {"how": f"{plain}. Every output depends on every input, at least through others."}
    sizes = ", ".join(str(len(group)) for group in groups[:8]) + (", ..." if len(groups) > 8 else "")
    return facts | {
        "row_ordering": tuple(i for group in groups for i in group),
        "ordering": tuple(columns[i] for group in groups for i in group),
        "blocks": tuple(tuple(columns[i] for i in group) for group in groups),
        "how": f"{plain}, though in the order found it is block triangular: only the blocks on the diagonal "
        f"(sizes {sizes}) enter the determinant.",
    }


# The most special first. A coupling is triangular too, and I + u v' may be; the narrower family names them.
FAMILIES = (
    ("identity", _identity),
    ("permutation", _permutation),
    ("diagonal", _diagonal),
    ("coupling", _coupling),
    ("identity plus rank one", _rank_one),
    ("lower triangular", _lower),
    ("upper triangular", _upper),
    ("triangular up to a permutation", _triangular),
    ("orthogonal", _orthogonal),  # before rank r: every rotation of an odd space keeps an axis
    ("identity plus rank r", _rank_r),
    ("block diagonal", _block_diagonal),
    ("dense", _dense),
)

_TRIANGULAR = ("lower triangular", "upper triangular", "triangular up to a permutation")
# What goes without saying once the name is known.
IMPLIED = {
    "identity": NAMES,
    "diagonal": (*_TRIANGULAR, "block diagonal"),
    "permutation": ("orthogonal", "block diagonal", "triangular up to a permutation"),
    "lower triangular": ("triangular up to a permutation", "block diagonal"),
    "upper triangular": ("triangular up to a permutation", "block diagonal"),
    "triangular up to a permutation": ("block diagonal",),
    "coupling": ("triangular up to a permutation", "identity plus rank r"),
}
