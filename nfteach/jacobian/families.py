"""The families of Jacobians with a cheap determinant: what they look at, how each is told, and its log|det J|."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .pattern import block_triangular_form, components, matching, topological_order

__all__ = ["FAMILIES", "IMPLIED", "NAMES", "Look", "by_elimination", "looks", "orthogonal"]


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


def _product(look: Look, rows: tuple[int, ...], columns: tuple[int, ...]) -> Tensor:
    """(P,) log|det J| as the product of the entries at which the rows meet the columns."""
    return look.J[:, torch.tensor(rows), torch.tensor(columns)].abs().log().sum(1)


def _diagonal_product(look: Look) -> Tensor:
    natural = tuple(range(look.dim))
    return _product(look, natural, natural)


def _nothing_stretched(look: Look) -> Tensor:
    return look.J.new_zeros(len(look.J))


def _identity(look: Look) -> dict | None:
    if not torch.equal(look.one, look.eye.bool()) or not torch.equal(look.zero, ~look.eye.bool()):
        return None
    return {
        "cost": "O(1)",
        "log_det": _nothing_stretched(look),
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
        "log_det": _nothing_stretched(look),
        "how": "Each row and each column holds a single 1: dimensions change places and nothing is stretched, "
        "so log|det J| = 0.",
    }


def _diagonal(look: Look) -> dict | None:
    if not (look.zero | look.eye.bool()).all():
        return None
    return {
        "cost": "O(D)",
        "log_det": _diagonal_product(look),
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
        "log_det": _product(look, changed_rows, changed),
        "how": f"d = {len(kept)} of the outputs are inputs passed through unchanged (rows that are all 0 but for "
        f"one 1). The other {len(changed)} outputs depend on these in any way, in a block that does not enter the "
        f"determinant; in their own inputs they are {'diagonal' if int(block.sum()) == len(rows) else 'triangular'}. "
        "So det J is the product of that diagonal.",
    }


def _rank_one(look: Look) -> dict | None:
    if look.dim < 2 or look.rank != 1:
        return None
    # det(I + u v') = 1 + v.u, and v.u is the trace of u v' (the matrix determinant lemma).
    trace = (look.J - look.eye).diagonal(dim1=1, dim2=2).sum(1)
    return {
        "cost": "O(D)",
        "log_det": (1 + trace).abs().log(),
        "how": "J - I has a single non-zero singular value at each point: J = I + u vᵀ for some u and v. By the "
        "matrix determinant lemma det J = 1 + v·u, and v·u is the trace of J - I.",
    }


def _rank_r(look: Look) -> dict | None:
    rank = look.rank
    if not 2 <= rank < look.dim:
        return None
    U, s, V = torch.linalg.svd(look.J - look.eye)
    inner = torch.eye(rank, dtype=s.dtype) + (s[:, :rank, None] * V[:, :rank]) @ U[:, :, :rank]
    return {
        "cost": "O(D r²)",
        "log_det": torch.linalg.slogdet(inner).logabsdet,
        "how": f"J - I has {rank} non-zero singular values, fewer than D = {look.dim}: J = I + U Vᵀ with U and V "
        f"of {rank} columns. By Sylvester's identity det J = det(I + Vᵀ U), a determinant of size {rank} only.",
    }


def _lower(look: Look) -> dict | None:
    if not look.zero.triu(1).equal((~look.eye.bool()).triu(1)):
        return None
    return _triangle(look, "above", "1 to i", "below")


def _upper(look: Look) -> dict | None:
    if not look.zero.tril(-1).equal((~look.eye.bool()).tril(-1)):
        return None
    return _triangle(look, "below", "i to D", "above") | {"ordering": tuple(reversed(range(look.dim)))}


def _triangle(look: Look, empty: str, inputs: str, filled: str) -> dict:
    return {
        "cost": "O(D)",
        "log_det": _diagonal_product(look),
        "how": f"Every entry {empty} the diagonal is 0: output i depends on inputs {inputs} only. The entries {filled} "
        "the diagonal do not enter the determinant, which is the product of the diagonal.",
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
        "log_det": _product(look, rows, columns),
        "how": f"The dependencies of the {what} have no cycle, so there is an order in which each output depends on "
        "its own input and earlier ones only. In that order J is lower triangular, and the determinant is, up to its "
        "sign, the product of the diagonal.",
    }


def orthogonal(look: Look) -> dict | None:
    if (look.J @ look.J.mT - look.eye).abs().max() > look.tol * look.dim**0.5:
        return None
    return {
        "cost": "O(1)",
        "log_det": _nothing_stretched(look),
        "how": "J Jᵀ = I at each point: the map turns or mirrors and stretches nothing, so log|det J| = 0.",
    }


def _block_diagonal(look: Look) -> dict | None:
    blocks = components(~look.zero)
    if len(blocks) < 2 or any(len(rows) != len(columns) for rows, columns in blocks):
        return None
    parts = [look.J[:, torch.tensor(rows)][:, :, torch.tensor(columns)] for rows, columns in blocks]
    sizes = [len(columns) for _, columns in blocks]
    return {
        "ordering": tuple(j for _, columns in blocks for j in columns),
        "row_ordering": tuple(i for rows, _ in blocks for i in rows),
        "blocks": tuple(columns for _, columns in blocks),
        "cost": f"O(Σ n³), block sizes n up to {max(sizes)}",
        "log_det": sum(torch.linalg.slogdet(part).logabsdet for part in parts),
        "how": f"The dimensions fall into {len(blocks)} groups that do not depend on each other. The determinant is "
        f"the product of the {len(blocks)} small determinants.",
    }


def _dense(look: Look) -> dict:
    pattern = ~look.zero
    columns = matching(pattern)
    facts = {"cost": "O(D³)", "log_det": torch.linalg.slogdet(look.J).logabsdet}
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
    ("orthogonal", orthogonal),  # before rank r: every rotation of an odd space keeps an axis
    ("identity plus rank r", _rank_r),
    ("block diagonal", _block_diagonal),
    ("dense", _dense),
)

NAMES = tuple(name for name, _ in FAMILIES)
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
