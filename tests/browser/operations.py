"""Functions of two numbers that together use every operation that a program knows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfteach.flows.roots import increasing_root, repeat

__all__ = ["FAR_OUT", "OPERATIONS", "given"]


@functools.cache
def _constants(dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"A": (5, 4), "B": (4, 3), "C": (2, 3, 5), "S": (2, 3, 3), "V": (4,)}
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in shapes.items()
    }


def given(x: Tensor, y: Tensor) -> SimpleNamespace:
    """Return what the functions take: two numbers, constants in capitals, and arrays that depend on the numbers.

    ``a`` (5, 4) and ``c`` (2, 3, 5) are any numbers, ``p`` (5, 4) lies between 0 and 1, ``s`` (2, 3, 3) can be
    inverted, ``b`` (4, 3) depends on y alone, ``t`` (5, 4) is bool, ``k`` (5,) are whole numbers from 0 to 3.
    """
    k = _constants(x.dtype)
    a = k["A"] * x + y
    return SimpleNamespace(
        **k,
        x=x,
        y=y,
        a=a,
        b=k["B"] * y,
        c=k["C"] * y - x,
        p=torch.sigmoid(a),
        s=k["S"] * torch.sin(x) + (3 + torch.cos(y)) * torch.eye(3, dtype=x.dtype),
        t=a > 0.1,
        k=((x + y) * torch.arange(5)).floor().long() % 4,
    )


def _gradient(function: Callable[..., Tensor], *at: Tensor) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        leaves = [one.detach().clone().requires_grad_() for one in at]
        out = function(*leaves)
        return torch.autograd.grad(
            (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)).sum(), leaves
        )


def _written(at: Tensor, write: Callable[[Tensor], Any]) -> Tensor:
    made = at.clone()
    write(made)
    return made


def _square_roots(o: SimpleNamespace) -> Tensor:
    def body(z: Tensor, turns: Tensor, far: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        following = (z + o.p / z) / 2
        return ((following - z).abs() > 1e-3).any(), (following, turns + 1, far)

    root, turns, far = repeat(body, (torch.ones_like(o.p), torch.zeros((), dtype=torch.int64), o.a.T), 6)
    return [root, turns, far]


def _fibonacci(o: SimpleNamespace) -> Any:
    """Two states change places, one passes through."""
    return repeat(
        lambda n, one, other, w: (n < 7, (n + 1, other, one + w * other, w)),
        (torch.zeros((), dtype=torch.int64) + o.k[0] * 0, o.x + 0 * o.V, o.y + 0 * o.V, o.V * o.y),
        20,
    )[1:3]


def _nested(o: SimpleNamespace) -> Any:
    def outer(z: Tensor, n: Tensor) -> Any:
        (inner,) = repeat(lambda v: ((v > 1).any(), (v * 0.5 + 0.1 * o.x,)), (z + 4,), 9)
        return n < 3, (z + inner, n + 1)

    return repeat(outer, (o.a, torch.zeros((), dtype=torch.int64) + 0 * o.k[1]), 5)


def _root(z: Tensor, w: Tensor) -> Tensor:
    return increasing_root(lambda v: (v**3 + torch.exp(w) * v - z, 3 * v**2 + torch.exp(w)), z * 0 - 9, z * 0 + 9, 60)


def _rewritten(o: SimpleNamespace) -> Any:
    """A view that is written into, seen from its base, from other views, and later again."""
    base = torch.zeros(4, 5, dtype=o.x.dtype)
    column, row, block = base[:, 1], base[2], base[1:, ::2]
    column += o.x
    before = base.sum()
    row.mul_(o.y)
    block[:, 1] = o.a[:3, 0]
    block.T.add_(o.y)
    base.view(-1)[3::4] -= o.x
    base.diagonal(1)[:] = o.V
    return [base, column * 1, row + block[1, 1], before]


_EACH = {
    "a": "abs neg exp exp2 expm1 square sin cos tanh sinh cosh atan asinh sigmoid relu sign sgn floor ceil trunc round "
    "logical_not isnan isinf isfinite erf erfc deg2rad rad2deg angle clone reciprocal",
    "p": "log log1p log2 log10 sqrt rsqrt asin acos atanh logit tan",
}
_PAIRS = (
    "add sub mul div maximum minimum atan2 hypot logaddexp remainder fmod floor_divide gt lt ge le eq ne logical_and "
    "logical_or logical_xor copysign"
)
_FOLDED = "sum mean prod amax amin any all logsumexp std var count_nonzero"


def _tables() -> dict[str, Callable[[SimpleNamespace], Any]]:
    found: dict[str, Callable[[SimpleNamespace], Any]] = {}
    for kind, names in _EACH.items():
        for name in names.split():
            found[name] = lambda o, name=name, kind=kind: getattr(torch, name)(getattr(o, kind))
    for name in _PAIRS.split():
        f = getattr(torch, name)
        found[name] = lambda o, f=f: [f(o.a, o.A), f(o.a[:, 1:], o.c[0, 0, :, None]), f(o.a.T, o.y)]
    for name in _FOLDED.split():
        f = getattr(torch, name)
        found[f"{name} of rows"] = lambda o, f=f: [f(o.a, 0), f(o.a, -1), f(o.c.transpose(0, 1), 1)]
        if name not in ("logsumexp",):
            found[f"{name} of all"] = lambda o, f=f: [f(o.a[:, ::2]), f(o.c)]
        if name not in ("prod",):
            found[f"{name} of several"] = lambda o, f=f: [f(o.c, (0, 2)), f(o.c, (-1, 0))]
        if name != "count_nonzero":
            found[f"{name} kept"] = lambda o, f=f: f(o.c, 1, keepdim=True)
    for name in ("cumsum", "cumprod", "logcumsumexp", "softmax", "log_softmax"):
        f = getattr(torch, name)
        found[name] = lambda o, f=f: [f(o.a, 0), f(o.c, 1), f(o.c[:, :, ::2], -1)]
    for name in ("cummax", "cummin"):
        f = getattr(torch, name)
        found[name] = lambda o, f=f: [*f(o.a, 0), *f(o.c, 1), *f(o.a.round(), 1)]
    for name in ("max", "min"):
        f = getattr(torch, name)
        found[name] = lambda o, f=f: [f(o.a), *f(o.a, 0), *f(o.c, 1, keepdim=True), *f(o.a.T, -1), f(o.a, o.A)]
    for name in ("argmax", "argmin"):
        f = getattr(torch, name)
        found[name] = lambda o, f=f: [f(o.a), f(o.a, 0), f(o.c, 1, keepdim=True)]
    return found


#: name -> function of :func:`given`, which returns a tensor or several.
OPERATIONS: dict[str, Callable[[SimpleNamespace], Any]] = _tables() | {
    # elements
    "constants": lambda o: [2 - o.a, -1.5 * o.a, o.a / 3, 1 / o.p, torch.rsub(o.a, o.A, alpha=2)],
    "alpha": lambda o: [torch.add(o.a, o.A, alpha=-2), torch.sub(o.a, o.A, alpha=-2), torch.sub(o.a, o.y, alpha=0.5)],
    "sums of bool": lambda o: [o.t + o.t.flip(0), o.t * o.t.flip(0), o.t.sum(), (o.t + 1) * 2],
    "power": lambda o: [o.a**2, o.a**3, o.p**0.5, o.p**-1, o.p**-2.5, 2**o.a, o.p**o.a, o.a**1, o.a**0],
    "rounded": lambda o: [torch.round(o.a, decimals=1), (o.a * 4).round() / 4 + torch.round(o.A * 0 + 2.5 * o.t)],
    "divided": lambda o: [torch.div(o.a, 0.3, rounding_mode=mode) for mode in ("floor", "trunc", None)],
    "whole numbers": lambda o: [
        o.k * 3 - 7,
        (o.k - 2) // 2,
        (o.k - 2) % 3,
        o.k / 2,
        -o.k,
        o.k.clamp(1, 2),
        o.k.abs(),
        torch.div(o.k - 2, 2, rounding_mode="trunc"),
    ],
    "multiples": lambda o: [
        torch.remainder(o.k * 0.1, 0.1),
        torch.floor_divide(o.k * 0.1 + 0.1, 0.1),
        o.k * 0.1 % -0.1,
    ],
    "clamp": lambda o: [
        o.a.clamp(-0.3, 0.4),
        o.a.clamp(min=0.1),
        o.a.clamp(max=o.A),
        o.a.clamp(o.A - 1, o.A),
        torch.clamp_min(o.a, 0.2),
        torch.clamp_max(o.a, 0.2),
    ],
    "where": lambda o: [
        torch.where(o.t, o.a, o.y),
        torch.where(o.a > o.y, 1.0, o.A),
        torch.where(o.t, o.k[:, None], 2),
    ],
    "masked_fill": lambda o: [o.a.masked_fill(o.t, -9.0), o.a.masked_fill(o.A > 0, o.y)],
    "lerp": lambda o: [torch.lerp(o.a, o.A, 0.3), torch.lerp(o.a, o.A, o.p)],
    "addcmul": lambda o: [
        torch.addcmul(o.a, o.A, o.p),
        torch.addcmul(o.a, o.A, o.p, value=-0.5),
        torch.addcdiv(o.a, o.A, o.p),
        torch.addcdiv(o.a, o.A, o.p, value=2),
    ],
    "bits": lambda o: [~o.t, o.t & (o.A > 0), o.t | (o.A > 0), o.t ^ (o.A > 0), ~o.k, o.k & 2, o.k | 5, o.k ^ 3],
    "types": lambda o: [
        o.a.float() * 2,
        (3 * o.a).int(),
        (3 * o.a).long() + 1,
        o.a.bool(),
        o.t.double(),
        o.k.float(),
        (200 * o.p).to(torch.uint8),
        o.t.long(),
        (o.a > 9).to(o.x.dtype),
    ],
    "xlogy": lambda o: [torch.xlogy(o.a, o.p), torch.xlogy(o.a.relu(), o.p), torch.xlogy(2.0, o.p)],
    "ndtri": lambda o: [torch.special.ndtri(o.p), torch.special.erfcx(o.a), torch.special.ndtr(o.a)],
    "acosh": lambda o: torch.acosh(o.p + 1),
    "logit with eps": lambda o: torch.logit(o.p, 0.3),
    "activations": lambda o: [
        F.leaky_relu(o.a, 0.2),
        F.softplus(o.a),
        F.softplus(o.a, 2.5, 0.4),
        F.elu(o.a),
        F.elu(o.a, 0.7),
        F.logsigmoid(o.a),
        F.silu(o.a),
        F.selu(o.a),
        F.gelu(o.a),
    ],
    "nan_to_num": lambda o: [
        torch.nan_to_num(o.a.log(), 3.0),
        (o.t / o.t.flip(0).to(o.x.dtype)).nan_to_num(-1, 5, -5),
        (o.a / (0 * o.a)).nan_to_num().sign(),
    ],
    "not finite": lambda o: [
        o.a.log(),
        (o.a / 0).isinf(),
        o.a.log().isnan(),
        torch.maximum(o.a.log(), o.A),
        o.a.log().amax(0),
        torch.minimum(o.A, o.a.log()),
        o.a.log().clamp(min=0),
        (o.a / 0).softmax(1),
        o.a.log().max(1)[1],
    ],
    # views and copies
    "views": lambda o: [
        o.a[1],
        o.a[:, 2],
        o.a[1:, ::2],
        o.a.T,
        o.c.transpose(0, 2),
        o.c.permute(2, 0, 1),
        o.c[1, :, 1::3],
        o.a.diagonal(),
        o.a.diagonal(-1),
        o.c.diagonal(1, 0, 2),
        o.y.expand(3, 2),
        o.a[:, None] + o.A,
        o.a.reshape(2, 10),
        o.a.T.reshape(-1),
        o.c.flatten(1),
        o.a.unfold(0, 3, 1),
        o.c.squeeze(),
        o.a[-1, -2],
        o.a.view(5, 2, 2).movedim(0, 1),
        o.a.unbind(1)[2],
        o.a.split(2)[1],
        o.a.chunk(2, 1)[1],
    ],
    "expanded": lambda o: [o.a[:, None].expand(5, 3, 4).sum(1), o.y.expand(5, 4) * o.a, o.V.expand(2, 4) * o.x],
    "cat": lambda o: [
        torch.cat([o.a, o.A, o.a[:1]]),
        torch.cat([o.a.T, o.b], -1),
        torch.cat([torch.zeros(0), o.V * o.x]),
    ],
    "stack": lambda o: [torch.stack([o.a, o.A]), torch.stack([o.a[:, 0], o.a.sum(1)], -1), torch.stack([o.x, o.y])],
    "flip": lambda o: [o.a.flip(0), o.a.flip(0, 1), o.c[:, ::2].flip(-1), o.a.T.fliplr()],
    "roll": lambda o: [
        o.a.roll(1, 0),
        o.a.roll(-7, 1),
        o.a.roll(3),
        o.a.T.roll(1, 1),
        o.a.T.roll(3),
        o.c.roll((1, 2), (0, 2)),
    ],
    "repeat": lambda o: [
        o.a.repeat(2, 3),
        o.a.T.repeat(2, 1, 2),
        o.y.repeat(3),
        o.a.tile(2),
        o.V.mul(o.x).repeat_interleave(2),
    ],
    "pad": lambda o: [
        F.pad(o.a, (1, 2)),
        F.pad(o.a.T, (0, 1, 2, 0), value=-0.5),
        F.pad(o.a, (-1, 2)),
        F.pad(o.c, (1, 0, -1, -1)),
    ],
    "triangles": lambda o: [o.a.triu(), o.a.tril(-1), o.c.triu(1), o.a.T.tril()],
    "diagonals": lambda o: [
        torch.diag_embed(o.a),
        torch.diag_embed(o.a, 1, 0, 2),
        torch.diag(o.V * o.x),
        torch.diag(o.a),
    ],
    "meshgrid": lambda o: torch.meshgrid(o.V * o.x, o.a[:, 0], indexing="xy"),
    "scattered": lambda o: [
        torch.select_scatter(o.a, o.V * o.y, 0, -1),
        torch.slice_scatter(o.a, o.A[:2], 0, 1, 5, 2),
        torch.slice_scatter(o.A, o.a[:, -2:], 1, -2),
    ],
    # written in place
    "written": lambda o: [
        _written(o.A, lambda m: m[1].fill_(o.y)),
        _written(o.a, lambda m: m[:, 1].zero_()),
        _written(o.A, lambda m: m[::2, 1:3].copy_(o.a[::2, :2])),
        _written(o.A.T, lambda m: m[0].mul_(o.x)),
        _written(o.a, lambda m: m.T.add_(o.V[:, None])),
        _written(o.a, lambda m: m.clamp_(0, 1)),
    ],
    "written in turn": _rewritten,
    "written as another type": lambda o: [
        _written(torch.zeros(5, 4, dtype=torch.int64), lambda m: m.copy_(3 * o.a)),
        _written(torch.zeros((), dtype=torch.int64), lambda m: m.copy_(9 * o.x)) * 2,
        _written(torch.zeros(5, 4, dtype=torch.bool), lambda m: m.copy_(o.a)),
        _written(o.k, lambda m: m.add_(1).mul_(2)),
    ],
    "masked in place": lambda o: [
        _written(o.a, lambda m: m.masked_fill_(o.t, 2.0)),
        _written(o.t, lambda m: m.logical_not_()),
        _written(o.t, lambda m: m[0].__iand__(o.t[1])),
        _written(o.a, lambda m: m[o.A > 0].sum()),
    ],
    "index_put": lambda o: [
        _written(o.a, lambda m: m.__setitem__(torch.tensor([0, -1]), o.y)),
        _written(o.a, lambda m: m.__setitem__((slice(None), torch.tensor([2, 0])), o.A[:, :2] * o.x)),
        _written(o.A, lambda m: m.__setitem__(o.A > 0, o.x)),
        o.a.index_put((torch.tensor([0, 1, 0]), torch.tensor([1, 1, 1])), o.V[:3] * o.x, accumulate=True),
        o.a.index_put((o.k,), o.A, accumulate=True),
        o.A.index_put((o.k % 5, o.k), o.y, accumulate=True),
    ],
    "index_copy": lambda o: [
        o.a.index_copy(0, torch.tensor([1, 4]), o.A[:2]),
        o.A.index_copy(1, torch.tensor([3, 0]), o.a[:, ::3]),
    ],
    "index_add": lambda o: [o.a.index_add(0, torch.tensor([1, 1, 3]), o.A[:3]), o.A.index_add(1, o.k[:2], o.a[:, :2])],
    "scatter_add": lambda o: [
        o.a.scatter_add(0, torch.tensor([[0, 1, 2, 0], [0, 0, 4, 3]]), o.A),
        torch.zeros(5, 4, dtype=o.x.dtype).scatter_add(1, o.k[:, None], o.a),
    ],
    # looked up
    "index": lambda o: [
        o.a[torch.tensor([1, -1, 1])],
        o.a[:, torch.tensor([[0, 2], [3, 3]])],
        o.a[o.k],
        o.A[o.k, o.k.flip(0)],
        o.c[:, torch.tensor([0, 2]), torch.tensor([4, -5])],
        o.c[torch.tensor([1, 0])[:, None], o.k % 3],
        o.a[o.A > 0],
        o.c[1, torch.tensor([2, 0])],
        o.a.T[torch.tensor([3])],
        o.c[o.k % 2, :, 1::2],
    ],
    "index_select": lambda o: [
        o.a.index_select(0, o.k),
        o.c.index_select(-1, torch.tensor([4, 0])),
        o.A.index_select(1, o.k),
    ],
    "gather": lambda o: [
        o.a.gather(1, o.k[:, None]),
        o.a.gather(0, o.k[None, :4].expand(2, 4)),
        torch.take_along_dim(o.a, o.a.argsort(1), 1),
    ],
    "sort": lambda o: [
        *o.a.sort(0),
        *o.c.sort(-1, descending=True),
        *o.a.round().sort(dim=1, stable=True),
        o.a.argsort(0),
    ],
    "searchsorted": lambda o: [
        torch.searchsorted(o.V.sort()[0], o.a),
        torch.searchsorted(o.a.sort(1)[0], o.A[:, :2].contiguous()),
        torch.searchsorted(o.k.sort()[0], o.k),
        torch.searchsorted(o.k.sort()[0], o.k, right=True),
        torch.searchsorted(o.a[0].sort()[0], 0.2),
        torch.searchsorted(o.a[0].sort()[0], o.y, side="right"),
    ],
    "bucketize": lambda o: [
        torch.bucketize(o.a, o.V.sort()[0]),
        torch.bucketize(o.a.round(), torch.tensor([-1.0, 0.0, 1.0], dtype=o.x.dtype), right=True),
        torch.bucketize(o.A, o.a[0].sort()[0]),
    ],
    # folds of other kinds
    "norms": lambda o: [
        o.a.norm(),
        o.a.norm(dim=1),
        torch.linalg.vector_norm(o.c, dim=(0, 2)),
        torch.linalg.norm(o.a, dim=0, keepdim=True),
    ],
    "variances": lambda o: [
        o.a.var(0, unbiased=False),
        o.a.std(unbiased=False),
        torch.var(o.c, (0, 1), correction=2),
        o.a.var(),
        torch.cov(o.a.T),
        o.a.std(1, keepdim=True),
    ],
    "folds of other types": lambda o: [
        o.t.any(0),
        o.t.all(),
        o.k.sum(),
        o.t.sum(1),
        o.k.max(),
        o.a.float().mean(),
        o.k.prod(),
        o.t.to(o.x.dtype).mean(0),
        (o.a > 5).any(),
        o.k.float().std(),
        o.a.sum(dtype=torch.float32),
    ],
    "number": lambda o: [
        o.x.sum(),
        o.x.max(),
        o.x.cumsum(0),
        o.y.softmax(0),
        o.x.mean(),
        torch.logsumexp(o.y, 0),
        o.x.argmax(),
        o.x.norm(),
    ],
    # products
    "mm": lambda o: [o.a @ o.B, o.a @ o.b, o.a.T @ o.A, o.a[:, ::2] @ o.b[1:3], o.B.T @ o.a.T, o.a @ o.a.mT],
    "bmm": lambda o: [
        o.c @ o.a,
        o.c @ o.c.mT,
        torch.einsum("bij,jk->bik", o.c, o.a),
        torch.einsum("bij,bkj->bik", o.c, o.c),
        o.C @ o.a,
    ],
    "mv": lambda o: [o.a @ o.V, o.a.T @ o.a[:, 1], o.A @ (o.V * o.x), o.c @ o.a[:, 0]],
    "dot": lambda o: [
        o.a[:, 0] @ o.A[:, 1],
        torch.dot(o.a[1], o.a[2]),
        torch.outer(o.a[0], o.V),
        o.a[:, 0].inner(o.a[:, 1]),
    ],
    "addmm": lambda o: [
        F.linear(o.a, o.B.T, o.b[0]),
        torch.addmm(o.b[0], o.a, o.B, beta=0.5, alpha=-2),
        torch.addmv(o.V[:1], o.a, o.V),
        torch.addmv(o.a[:, 0], o.A, o.V, beta=-1, alpha=3),
        torch.baddbmm(o.c[:, :, :3], o.s, o.s, beta=0.5),
    ],
    "convolution": lambda o: [
        F.conv2d(o.c[None], o.S[:, None, :, :2].expand(-1, 2, -1, -1), o.V[:2]),
        F.conv2d(o.s[:, None], o.C[:, None, :, :3], padding=1),
        F.conv2d(o.c.transpose(0, 1)[None], o.c[:, :, :1, None], o.b[0, :2], padding=(0, 2)),
    ],
    "determinants": lambda o: [
        torch.linalg.det(o.s),
        *torch.linalg.slogdet(o.s),
        o.s[0].det(),
        torch.logdet(o.s @ o.s.mT),
        o.s[0, :1, :1].det(),
    ],
    "inverse": lambda o: [torch.linalg.inv(o.s), o.s[1].mT.inverse(), torch.linalg.inv(o.s[0, 1:, 1:])],
    "solve": lambda o: [
        torch.linalg.solve(o.s, o.c),
        torch.linalg.solve(o.s[0], o.c[0, :, 0]),
        torch.linalg.solve(o.s[1], o.C),
        torch.linalg.solve(o.s, o.c.mT, left=False),
    ],
    "solve_triangular": lambda o: [
        torch.linalg.solve_triangular(o.s, o.c, upper=True),
        torch.linalg.solve_triangular(o.s[0], o.c[0], upper=False),
        torch.linalg.solve_triangular(o.s, o.c.mT, upper=True, left=False),
    ],
    # gradients
    "gradient of elements": lambda o: _gradient(
        lambda a, p: (
            a.tanh() * p.log()
            + a.sigmoid() ** 2
            - (a * p).exp()
            + F.softplus(a)
            + F.relu(a)
            + a.abs()
            + F.logsigmoid(a)
            + F.leaky_relu(a, 0.1)
            + F.elu(a, 0.3)
            + F.elu(a.clone(), 0.3, inplace=True)
            + F.silu(a)
            + F.gelu(a)
            + torch.where(a > 0, a**3, p)
            + a.clamp(-0.5, 0.5)
            + torch.atan2(a, p)
            + F.softplus(a, 2.0, 0.5)
            + torch.maximum(a, p)
            + a.sin() * a.cos()
            + p.sqrt()
            + torch.special.erf(a)
            + torch.logit(p)
            + torch.logaddexp(a, p)
        ),
        o.a,
        o.p,
    ),
    "gradient of products": lambda o: _gradient(
        lambda a, b, c: ((a @ b).tanh().sum() + (c @ a)).tanh(), o.a * 0.3, o.b * 0.3, o.c
    ),
    "gradient of softmax": lambda o: _gradient(lambda a: a.softmax(1) * a.log_softmax(0) + torch.logsumexp(a, 0), o.a),
    "gradient of views": lambda o: _gradient(
        lambda a, c: (
            a[1:, ::2].sum(0)
            + a[:, 1][:2] * a.diagonal()[-2:]
            + torch.stack([a[2, 3], a.T[0, 1]])
            + c.transpose(0, 2)[:2, 1].flip(0)[:, 0] ** 2
            + a[torch.tensor([0, 0, 3])].sum(0)[:2]
            + a.gather(1, o.k[:, None])[:2, 0]
            + torch.cat([a, a])[3:5, 0]
            + a.cumsum(0)[2, :2]
            + F.pad(a, (1, 1))[0, :2]
            + a.expand(3, 5, 4).sum(0)[1, 1:3]
            + a.prod(0)[:2]
            + a.amax(0)[:2]
            + a.std()
            + a.norm()
            + a.triu()[1, 2:]
        ),
        o.a * 0.4,
        o.c,
    ),
    "gradient of a gradient": lambda o: _gradient(
        lambda a: torch.autograd.grad((a.tanh() @ o.B).exp().sum(), a, create_graph=True)[0].square().sum(1), o.a * 0.3
    ),
    "Jacobian": lambda o: [
        torch.func.jacrev(lambda z: (z @ o.a).tanh() * z[:4])(o.a[:, 0]),
        torch.func.vmap(torch.func.jacrev(lambda z: z.softmax(0) * o.x))(o.a),
    ],
    # loops
    "loop": _square_roots,
    "loop whose states change places": _fibonacci,
    "loop within a loop": _nested,
    "loop of constants": lambda o: [repeat(lambda z: (z.sum() < 9, (z * 2,)), (o.V.abs(),), 9)[0] * o.x],
    "root": lambda o: _root(o.a, o.y),
    "gradient of a root": lambda o: _gradient(lambda z, w: _root(z, w).sin(), o.a, o.y),
}

#: name -> (function of numbers, the numbers): where they are far out, or near where something turns.
FAR_OUT: dict[str, tuple[Callable[[Tensor], Tensor], list[float]]] = {
    "erf": (torch.erf, [-6, -1, -1e-3, -1e-12, 1e-300, 1e-8, 0.3, 2.2, 7]),
    "erfc": (torch.erfc, [-9, -1, 0, 1e-9, 0.5, 2.1999, 2.2001, 3.9, 4.1, 9, 15, 26, 40]),
    "erfcx": (torch.special.erfcx, [-5, -1, 0, 1e-9, 0.5, 2.1999, 2.2001, 3.99, 4.01, 9, 50, 1e4, 1e200]),
    "ndtri": (torch.special.ndtri, [1e-300, 1e-100, 1e-16, 1e-5, 0.1, 0.4999, 0.5, 0.7, 0.999, 1 - 1e-12]),
    "expm1": (torch.expm1, [-50, -1, -1e-3, -1e-12, 1e-300, 1e-8, 1, 100]),
    "log1p": (torch.log1p, [-1 + 1e-12, -0.5, -1e-12, 1e-300, 1e-8, 1, 1e100]),
    "sigmoid": (torch.sigmoid, [-700, -40, -1, 0, 30, 800]),
    "softplus": (F.softplus, [-700, -40, -1, 0, 19, 21, 36.5, 800]),
    "logsigmoid": (F.logsigmoid, [-800, -40, -1, 0, 30, 700]),
    "logaddexp": (lambda v: torch.logaddexp(v, v * 0.5), [-1000, -1, 0, 3, 1000]),
    "logit": (torch.logit, [1e-300, 1e-9, 0.5, 0.75, 1 - 1e-12]),
    "tanh": (torch.tanh, [-400, -1e-9, 1e-300, 0.2, 30]),
    "asinh": (torch.asinh, [-1e10, -1e-9, 1e-300, 0.2, 1e100]),
    "acosh": (torch.acosh, [1 + 1e-9, 1.5, 1e100]),
    "atanh": (torch.atanh, [-1 + 1e-9, 1e-300, -1e-9, 0.5]),
    "exp": (torch.exp, [-745, -1, 0, 709]),
    "round": (torch.round, [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994, 4503599627370497.5]),
    "remainder": (lambda v: torch.remainder(v, 0.1), [-0.3, 0.3, 0.6, 0.7, 1.1, 1e9]),
    "hypot": (lambda v: torch.hypot(v, 2 * v), [1e-200, 1.0, 1e200]),
    "selu": (F.selu, [-50, -1e-12, 0, 3]),
}
