"""From recorded torch operations to three kinds of steps: maps over elements, rows, and matrix products."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nfteach.widgets.program.record import Buffer, Node, Recording, Refused, View, found_in, line_of, steps_of

__all__ = [
    "FOLDS",
    "MAPS",
    "SCANS",
    "Access",
    "Call",
    "Loop",
    "Lowering",
    "Map",
    "Step",
    "accesses_of",
    "is_known",
    "looked_up_by",
    "lowered",
    "read_by",
    "written_by",
]


@dataclass(frozen=True)
class Access:
    """Which number of a buffer is meant at each place of a domain: offset + sum of strides times the place's indices.

    Args:
        buffer: its number. strides: one for each dimension of the domain.
        looked_up: further terms (index, size, stride): a whole number that is read from a buffer, counted from the end
            where it is negative.
    """

    buffer: int
    strides: tuple[int, ...]
    offset: int = 0
    looked_up: tuple[tuple[Access, int, int], ...] = ()


@dataclass(frozen=True)
class Map:
    """For each place of a domain: out = expression of what is read there.

    Args:
        domain: the sizes. code: JavaScript with {0}, {1}, ... for what is read: accesses or numbers.
        adds: whether it is added to what stands there. after: buffers that must be whole before, apart from those read.
    """

    domain: tuple[int, ...]
    code: str
    reads: tuple[Access | float, ...]
    out: Access
    adds: bool = False
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Call:
    """A function of the page's library over whole buffers, whose numbers stand one after another."""

    name: str
    reads: tuple[int, ...]
    outs: tuple[int, ...]
    details: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Loop:
    """Steps that are repeated while a number is not 0, at most so often; ``last`` are those at the end of each turn."""

    reads: tuple[int, ...]
    outs: tuple[int, ...]
    steps: tuple[Map | Call | Loop, ...]
    last: tuple[Map, ...]
    more: int
    most: int


Step = Map | Call | Loop

MAPS = {
    "abs": "Math.abs({0})", "neg": "-{0}", "exp": "Math.exp({0})", "exp2": "Math.pow(2,{0})",
    "expm1": "Math.expm1({0})",
    "log": "Math.log({0})", "log1p": "Math.log1p({0})", "log2": "Math.log2({0})", "log10": "Math.log10({0})",
    "sqrt": "Math.sqrt({0})", "rsqrt": "1/Math.sqrt({0})", "reciprocal": "1/{0}",
    "sin": "Math.sin({0})", "cos": "Math.cos({0})", "tan": "Math.tan({0})", "tanh": "Math.tanh({0})",
    "sinh": "Math.sinh({0})", "cosh": "Math.cosh({0})", "asin": "Math.asin({0})", "acos": "Math.acos({0})",
    "atan": "Math.atan({0})", "asinh": "Math.asinh({0})", "acosh": "Math.acosh({0})", "atanh": "Math.atanh({0})",
    "sigmoid": "1/(1+Math.exp(-{0}))", "relu": "H.max({0},0)", "sign": "Math.sign({0})", "sgn": "Math.sign({0})",
    "floor": "Math.floor({0})", "ceil": "Math.ceil({0})", "trunc": "Math.trunc({0})",
    "logical_not": "({0}?0:1)", "isnan": "({0}!=={0}?1:0)", "isinf": "(Math.abs({0})===Infinity?1:0)",
    "erf": "H.erf({0})", "erfc": "H.erfc({0})", "special_erfcx": "H.erfcx({0})", "special_ndtri": "H.ndtri({0})",
    "silu": "{0}/(1+Math.exp(-{0}))", "deg2rad": "{0}*Math.PI/180",
    "rad2deg": "{0}*180/Math.PI", "fill": "{1}", "zero": "0", "clone": "{0}",
    "mul": "{0}*{1}", "maximum": "H.max({0},{1})", "minimum": "H.min({0},{1})",
    "atan2": "Math.atan2({0},{1})", "hypot": "Math.hypot({0},{1})", "logaddexp": "H.logaddexp({0},{1})",
    "remainder": "H.mod({0},{1})", "fmod": "{0}%{1}", "floor_divide": "H.floorDiv({0},{1})",
    "xlogy": "H.xlogy({0},{1})",
    "gt": "({0}>{1}?1:0)", "lt": "({0}<{1}?1:0)", "ge": "({0}>={1}?1:0)", "le": "({0}<={1}?1:0)",
    "eq": "({0}==={1}?1:0)", "ne": "({0}!=={1}?1:0)", "bitwise_and": "({0}&{1})", "bitwise_or": "({0}|{1})",
    "bitwise_xor": "({0}^{1})", "logical_and": "({0}&&{1}?1:0)", "logical_or": "({0}||{1}?1:0)",
    "logical_xor": "(!{0}!==!{1}?1:0)", "copysign": "H.copysign({0},{1})",
    "where": "({0}?{1}:{2})", "lerp": "({0}+{2}*({1}-{0}))", "addcmul": "{0}+{1}*{2}", "addcdiv": "{0}+{1}/{2}",
    "masked_fill": "({1}?{2}:{0})", "clamp_min": "H.max({0},{1})", "clamp_max": "H.min({0},{1})",
    "silu_backward": "{0}*H.siluSlope({1})",
    "tanh_backward": "{0}*(1-{1}*{1})", "sigmoid_backward": "{0}*(1-{1})*{1}",
    "threshold_backward": "({1}>{2}?{0}:0)",
    "log_sigmoid_backward": "{0}/(1+Math.exp({1}))", "angle": "({0}<0?Math.PI:0)",
}  # fmt: skip

#: torch's name -> that of the page's library: of each row one number or, for the second kind, as many.
FOLDS = {"sum": "sum", "mean": "mean", "prod": "prod", "amax": "amax", "amin": "amin", "max": "amax", "min": "amin",
          "any": "any", "all": "all", "logsumexp": "logsumexp", "linalg_vector_norm": "norm",
          "std": "std",
          "var": "variance", "argmax": "argmax", "argmin": "argmin", "count_nonzero": "count"}  # fmt: skip
SCANS = {"cumsum": "cumsum", "cumprod": "cumprod", "logcumsumexp": "logcumsumexp", "_softmax": "softmax",
          "_log_softmax": "logSoftmax", "cummax": "cummax", "cummin": "cummin", "sort": "sort"}  # fmt: skip


def is_known(op: str) -> bool:
    """Return whether the page can run an operation of torch."""
    return op in MAPS or op in FOLDS or op in SCANS or hasattr(Lowering, f"op_{op.lstrip('_')}")


def lowered(recording: Recording) -> tuple[list[Buffer], list[Step]]:
    """Return the buffers of a recording, with those that are needed on the way, and its steps in a possible order.

    Raises:
        Refused: an operation that is not known, or a result of one that the page does not compute, such as the factors
            of a determinant; the message names it, and its line.
    """
    lowering = Lowering(recording)
    for node in recording.nodes:
        lowering.add(node)
    read = {view.buffer for view in found_in([recording.outputs, recording.texts, recording.guards], View)}
    read |= {buffer for step in lowering.steps for buffer in read_by(step)}
    written = {buffer for step in lowering.steps for buffer in written_by(step)}
    for node in recording.nodes:
        if any(out.buffer in read - written for out in node.out):
            raise Refused(f"a result of {node.op} that is used is not computed by the page{line_of(node.place)}")
    return lowering.buffers, lowering.steps


class Lowering:
    """Turns recorded operations into steps; ``op_NAME`` is for what no table has."""

    def __init__(self, recording: Recording) -> None:
        self.buffers = list(recording.buffers)
        self.steps: list[Step] = []

    # ---- what steps are made of ----------------------------------------------------------------------------------

    def map(self, code: str, reads: Sequence[Any], out: View, **details: Any) -> None:
        """Add a map over the shape of ``out``, to which all that ``code`` names is spread."""
        while reads and f"{{{len(reads) - 1}}}" not in code:
            reads = reads[:-1]
        self.steps.append(
            Map(
                out.shape,
                code,
                tuple(_spread(one, out.shape) if isinstance(one, View) else one for one in reads),
                Access(out.buffer, out.strides, out.offset),
                **details,
            )
        )

    def fresh(self, shape: Sequence[int], dtype: str, mask: int) -> View:
        self.buffers.append(Buffer(math.prod(shape), dtype, mask))
        return View(len(self.buffers) - 1, tuple(shape), steps_of(shape), 0, dtype)

    def constant(self, data: torch.Tensor) -> View:
        self.buffers.append(Buffer(data.numel(), str(data.dtype).removeprefix("torch."), 0, data.contiguous()))
        shape = tuple(data.shape)
        return View(len(self.buffers) - 1, shape, steps_of(shape), 0, self.buffers[-1].dtype)

    def whole(self, view: View) -> int:
        """Return a buffer in which the numbers of a view stand one after another and alone."""
        if view.contiguous and view.size == self.buffers[view.buffer].size:
            return view.buffer
        made = self.fresh(view.shape, view.dtype, self.buffers[view.buffer].mask)
        self.map("{0}", [view], made)
        return made.buffer

    def fill(self, out: View, value: float = 0.0) -> None:
        """Fill the whole buffer of ``out``."""
        size = self.buffers[out.buffer].size
        self.map("{0}", [value], View(out.buffer, (size,), (1,), 0, out.dtype))

    def call(self, name: str, reads: Sequence[View], outs: Sequence[View], details: Sequence[Any] = ()) -> None:
        """Call a function that writes numbers one after another, wherever they belong."""
        made = [
            out if out.contiguous and out.size == self.buffers[out.buffer].size
            else self.fresh(out.shape, out.dtype, self.buffers[out.buffer].mask)
            for out in outs
        ]  # fmt: skip
        self.steps.append(
            Call(name, tuple(self.whole(one) for one in reads), tuple(one.buffer for one in made), tuple(details))
        )
        for one, out in zip(made, outs, strict=True):
            if one is not out:
                self.map("{0}", [one], out)

    # ---- operations ----------------------------------------------------------------------------------------------

    def _refused(self, why: str) -> Refused:
        return Refused(why + line_of(self.node.place))

    def add(self, node: Node) -> None:
        self.node = node
        special = getattr(self, f"op_{node.op.lstrip('_')}", None)
        if special is not None:
            special(node, *node.args, **node.kwargs)
        elif node.op in FOLDS:
            self._fold(node)
        elif node.op in SCANS:
            self._scan(node)
        elif node.op in MAPS:
            alpha = node.kwargs.get("value", 1)
            code = MAPS[node.op] if alpha == 1 else MAPS[node.op].replace("+", f"+{alpha!r}*")
            self.map(code, node.args, node.out[0])
        else:
            raise self._refused(f"{node.op} is not known to the page")

    def op_add(self, node: Node, a: Any, b: Any, alpha: float = 1) -> None:
        code = "({0}||{1}?1:0)" if node.out[0].dtype == "bool" else "{0}+{1}"
        self.map(code if alpha == 1 else f"{{0}}+{alpha!r}*{{1}}", [a, b], node.out[0])

    def op_sub(self, node: Node, a: Any, b: Any, alpha: float = 1) -> None:
        self.map("{0}-{1}" if alpha == 1 else f"{{0}}-({alpha!r})*{{1}}", [a, b], node.out[0])

    def op_rsub(self, node: Node, a: Any, b: Any, alpha: float = 1) -> None:
        self.op_sub(node, b, a, alpha)

    def op_div(self, node: Node, a: Any, b: Any, rounding_mode: str | None = None) -> None:
        code = {None: "{0}/{1}", "floor": "H.floorDiv({0},{1})", "trunc": "Math.trunc({0}/{1})"}[rounding_mode]
        self.map(code, [a, b], node.out[0])

    def op_pow(self, node: Node, a: Any, b: Any) -> None:
        code = {2: "H.square({0})", 1: "{0}", 0.5: "Math.sqrt({0})", -1: "1/{0}"}.get(b) if _is_number(b) else None
        self.map(code or "Math.pow({0},{1})", [a, b], node.out[0])

    def op_clamp(self, node: Node, x: View, low: Any = None, high: Any = None) -> None:
        code, reads = "{0}", [x]
        for name, end in (("max", low), ("min", high)):
            if end is not None:
                reads.append(end)
                code = f"H.{name}({code},{{{len(reads) - 1}}})"
        self.map(code, reads, node.out[0])

    def op_bitwise_not(self, node: Node, x: View) -> None:
        self.map("({0}?0:1)" if x.dtype == "bool" else "~{0}", [x], node.out[0])

    def op_to_copy(self, node: Node, x: View, dtype: str | None = None) -> None:
        out = node.out[0]
        whole, was_whole = (not one.startswith("float") for one in (out.dtype, x.dtype))
        code = "({0}?1:0)" if out.dtype == "bool" else "Math.trunc({0})" if whole and not was_whole else "{0}"
        self.map(code, [x], out)

    def op_copy(self, node: Node, _: View, value: View) -> None:
        self.op_to_copy(node, value)

    def op_round(self, node: Node, x: View, decimals: int = 0) -> None:
        self.map(f"H.round({{0}}*1e{decimals})/1e{decimals}" if decimals else "H.round({0})", [x], node.out[0])

    def op_leaky_relu(self, node: Node, x: View, slope: float = 0.01) -> None:
        self.map("({0}>0?{0}:{1}*{0})", [x, slope], node.out[0])

    def op_leaky_relu_backward(self, node: Node, grad: View, x: View, slope: float, _: bool) -> None:
        self.map("({1}>0?{0}:{2}*{0})", [grad, x, slope], node.out[0])

    def op_softplus(self, node: Node, x: View, beta: float = 1, threshold: float = 20) -> None:
        self.map("({0}*{1}>{2}?{0}:H.softplus({0}*{1})/{1})", [x, beta, threshold], node.out[0])

    def op_softplus_backward(self, node: Node, grad: View, x: View, beta: float = 1, threshold: float = 20) -> None:
        self.map("({1}*{2}>{3}?{0}:{0}/(1+Math.exp(-{1}*{2})))", [grad, x, beta, threshold], node.out[0])

    def op_elu(self, node: Node, x: View, alpha: float = 1, scale: float = 1, inner: float = 1) -> None:
        self.map("({0}>0?{0}*{2}:Math.expm1({0}*{3})*{1}*{2})", [x, alpha, scale, inner], node.out[0])

    def op_elu_backward(
        self, node: Node, grad: View, alpha: float, scale: float, inner: float, is_result: bool, x: View
    ) -> None:
        below = (
            f"({{1}}+{alpha * scale!r})*{inner!r}"
            if is_result
            else f"{alpha * scale * inner!r}*Math.exp({{1}}*{inner!r})"
        )
        self.map(f"({{1}}>0?{{0}}*{scale!r}:{{0}}*{below})", [grad, x], node.out[0])

    def op_gelu(self, node: Node, x: View, approximate: str = "none") -> None:
        if approximate != "none":
            raise self._refused("gelu by tanh is not known to the page")
        self.map("0.5*{0}*H.erfc(-{0}*Math.SQRT1_2)", [x], node.out[0])

    def op_gelu_backward(self, node: Node, grad: View, x: View, approximate: str = "none") -> None:
        density = "Math.exp(-0.5*{1}*{1})/Math.sqrt(2*Math.PI)"
        self.map(f"{{0}}*(0.5*H.erfc(-{{1}}*Math.SQRT1_2)+{{1}}*{density})", [grad, x], node.out[0])

    def op_log_sigmoid_forward(self, node: Node, x: View) -> None:
        self.map("-H.softplus(-{0})", [x], node.out[0])

    def op_logit(self, node: Node, x: View, eps: float | None = None) -> None:
        inside = "{0}" if eps is None else f"H.min(H.max({{0}},{eps!r}),{1 - eps!r})"
        self.map(f"H.logit({inside})", [x], node.out[0])

    def op_nan_to_num(
        self, node: Node, x: View, nan: float = 0.0, high: float | None = None, low: float | None = None
    ) -> None:
        large = torch.finfo(getattr(torch, x.dtype)).max
        ends = [large if high is None else high, -large if low is None else low]
        code = "({0}!=={0}?{1}:{0}===Infinity?{2}:{0}===-Infinity?{3}:{0})"
        self.map(code, [x, nan or 0.0, *ends], node.out[0])

    def op_logit_backward(self, node: Node, grad: View, x: View, eps: float | None = None) -> None:
        code = "{0}/({1}*(1-{1}))"
        self.map(code if eps is None else f"({{1}}<{eps!r}||{{1}}>{1 - eps!r}?0:{code})", [grad, x], node.out[0])

    # copies into parts

    def op_cat(self, node: Node, parts: Sequence[View], dim: int = 0) -> None:
        out, at = node.out[0], 0
        dim %= len(out.shape)
        for part in parts:
            if len(part.shape) == len(out.shape) and part.size:
                self.map("{0}", [part], _narrowed(out, dim, at, part.shape[dim]))
                at += part.shape[dim]

    def op_stack(self, node: Node, parts: Sequence[View], dim: int = 0) -> None:
        for k, part in enumerate(parts):
            self.map("{0}", [part], _selected(node.out[0], dim % len(node.out[0].shape), k))

    def op_flip(self, node: Node, x: View, dims: Sequence[int]) -> None:
        strides, offset = list(x.strides), x.offset
        for dim in (d % len(x.shape) for d in dims):
            offset += (x.shape[dim] - 1) * strides[dim]
            strides[dim] *= -1
        self.map("{0}", [View(x.buffer, x.shape, tuple(strides), offset, x.dtype)], node.out[0])

    def op_roll(self, node: Node, x: View, shifts: Sequence[int], dims: Sequence[int] = ()) -> None:
        out = node.out[0]
        if not dims:
            x, out = (View(self.whole(v), (v.size,), (1,), 0, v.dtype) for v in (x, out))
            dims = (0,)
        parts = [(x, out)]
        for dim, shift in zip((d % len(x.shape) for d in dims), shifts, strict=True):
            n = x.shape[dim]
            by = shift % n
            parts = [
                (_narrowed(source, dim, begin, count), _narrowed(target, dim, end, count))
                for source, target in parts
                for begin, end, count in ((0, by, n - by), (n - by, 0, by))
                if count
            ]
        for source, target in parts:
            self.map("{0}", [source], target)

    def op_repeat(self, node: Node, x: View, times: Sequence[int]) -> None:
        out, pad = node.out[0], len(times) - len(x.shape)
        shape = (*(1,) * pad, *x.shape)
        strides = (*(0,) * pad, *x.strides)
        both = [part for n, k in zip(times, shape, strict=True) for part in (n, k)]
        read = [part for s in strides for part in (0, s)]
        write = [part for k, s in zip(shape, out.strides, strict=True) for part in (k * s, s)]
        self.map("{0}", [View(x.buffer, tuple(both), tuple(read), x.offset, x.dtype)],
                 View(out.buffer, tuple(both), tuple(write), out.offset, out.dtype))  # fmt: skip

    def op_put(self, node: Node, old: View, value: View, place: Sequence[Any]) -> None:
        shape, strides, offset = place
        out = node.out[0]
        self.map("{0}", [old], out)
        self.map("{0}", [value], View(out.buffer, tuple(shape), tuple(strides), offset, out.dtype), after=(out.buffer,))

    def _replaced(self, node: Node, x: View, value: View, place: Callable[[View], View]) -> None:
        self.map("{0}", [x], node.out[0])
        self.map("{0}", [value], place(node.out[0]), after=(node.out[0].buffer,))

    def op_select_scatter(self, node: Node, x: View, value: View, dim: int, index: int) -> None:
        self._replaced(node, x, value, lambda out: _selected(out, dim % len(out.shape), index))

    def op_slice_scatter(self, node: Node, x: View, value: View, dim: int = 0, start: Any = None, end: Any = None,
                         step: int = 1) -> None:  # fmt: skip
        self._replaced(node, x, value, lambda out: _sliced(out, dim, start, step, value.shape[dim]))

    def _placed(self, node: Node, grad: View, place: Callable[[View], View]) -> None:
        self.fill(node.out[0])
        self.map("{0}", [grad], place(node.out[0]), after=(node.out[0].buffer,))

    def op_select_backward(self, node: Node, grad: View, shape: Any, dim: int, index: int) -> None:
        self._placed(node, grad, lambda out: _selected(out, dim % len(out.shape), index))

    def op_slice_backward(self, node: Node, grad: View, shape: Any, dim: int, start: int, end: int, step: int) -> None:
        self._placed(node, grad, lambda out: _sliced(out, dim, start, step, grad.shape[dim]))

    def op_diagonal_backward(self, node: Node, grad: View, shape: Any, offset: int, one: int, two: int) -> None:
        self._placed(node, grad, lambda out: _diagonal(out, offset, one, two))

    def op_diag_embed(self, node: Node, x: View, offset: int = 0, one: int = -2, two: int = -1) -> None:
        self._placed(node, x, lambda out: _diagonal(out, offset, one, two))

    def op_diagonal_copy(self, node: Node, x: View, offset: int = 0, one: int = 0, two: int = 1) -> None:
        self.map("{0}", [_diagonal(x, offset, one, two)], node.out[0])

    def op_constant_pad_nd(self, node: Node, x: View, pad: Sequence[int], value: float = 0) -> None:
        out = node.out[0]
        self.fill(out, value)
        inner = out
        for dim, before, after in zip(reversed(range(len(x.shape))), pad[::2], pad[1::2], strict=False):
            x = _narrowed(x, dim, max(-before, 0), x.shape[dim] + min(before, 0) + min(after, 0))  # below 0, it is cut
            inner = _narrowed(inner, dim, max(before, 0), x.shape[dim])
        self.map("{0}", [x], inner, after=(out.buffer,))

    def _band(self, node: Node, x: View, k: int, make: Callable[..., torch.Tensor]) -> None:
        kept = self.constant(make(torch.ones(x.shape[-2:], dtype=torch.bool), k))
        self.map("({0}?{1}:0)", [kept, x], node.out[0])

    def op_triu(self, node: Node, x: View, k: int = 0) -> None:
        self._band(node, x, k, torch.triu)

    def op_tril(self, node: Node, x: View, k: int = 0) -> None:
        self._band(node, x, k, torch.tril)

    # looked up

    def op_index(self, node: Node, x: View, indices: Sequence[View | None]) -> None:
        self._indexed(node.out[0], x, self._whole_numbers(indices))

    def op_index_select(self, node: Node, x: View, dim: int, index: View) -> None:
        self._indexed(node.out[0], x, [*[None] * (dim % len(x.shape)), index])

    def op_gather(self, node: Node, x: View, dim: int, index: View, sparse_grad: bool = False) -> None:
        dim %= len(x.shape)
        strides = tuple(0 if d == dim else s for d, s in enumerate(x.strides))
        looked = (_spread(index, index.shape), x.shape[dim], x.strides[dim])
        out = node.out[0]
        self.steps.append(Map(out.shape, "{0}", (Access(x.buffer, strides, x.offset, (looked,)),),
                              Access(out.buffer, out.strides, out.offset)))  # fmt: skip

    def op_index_put(
        self, node: Node, x: View, indices: Sequence[View | None], value: View, accumulate: bool = False
    ) -> None:
        self.map("{0}", [x], node.out[0])
        self._written(node.out[0], self._whole_numbers(indices), value, accumulate)

    def op_index_add(self, node: Node, x: View, dim: int, index: View, source: View, alpha: float = 1) -> None:
        if alpha != 1:
            raise self._refused("index_add with alpha is not known to the page; multiply first")
        self.map("{0}", [x], node.out[0])
        self._written(node.out[0], [*[None] * (dim % len(x.shape)), index], source, True)

    def op_index_copy(self, node: Node, x: View, dim: int, index: View, source: View) -> None:
        self.map("{0}", [x], node.out[0])
        self._written(node.out[0], [*[None] * (dim % len(x.shape)), index], source, False)

    def op_scatter_add(self, node: Node, x: View, dim: int, index: View, source: View) -> None:
        out = node.out[0]
        dim %= len(x.shape)
        self.map("{0}", [x], out)
        strides = tuple(0 if d == dim else s for d, s in enumerate(out.strides))
        looked = (_spread(index, index.shape), out.shape[dim], out.strides[dim])
        part = View(source.buffer, index.shape, source.strides, source.offset, source.dtype)
        place = Access(out.buffer, strides, out.offset, (looked,))
        read = _spread(part, index.shape)
        self.steps.append(Map(index.shape, "{0}", (read,), place, adds=True, after=(out.buffer,)))

    def _whole_numbers(self, indices: Sequence[View | None]) -> list[View | None]:
        found: list[View | None] = []
        for index in indices:
            if index is not None and index.dtype in ("bool", "uint8"):
                data = self.buffers[index.buffer].data
                if data is None:
                    raise self._refused("rows that are chosen by a mask are as many as the mask says; use torch.where")
                found += [self.constant(one.clone()) for one in data.reshape(index.shape).nonzero(as_tuple=True)]
            else:
                found.append(index)
        return found

    def _place(self, x: View, indices: Sequence[View | None]) -> tuple[tuple[int, ...], Access]:
        """Return the domain of x[indices] and where its numbers stand."""
        used = [k for k, index in enumerate(indices) if index is not None]
        if used != list(range(used[0], used[-1] + 1)):
            raise self._refused("indices with a whole dimension between them are not known to the page")
        spread = torch.broadcast_shapes(*(indices[k].shape for k in used))
        first, last = used[0], used[-1] + 1
        domain = (*x.shape[:first], *spread, *x.shape[last:])
        strides = (*x.strides[:first], *(0,) * len(spread), *x.strides[last:])

        def looked(k: int) -> tuple[Access, int, int]:
            inner = _spread(indices[k], spread)
            around = (*(0,) * first, *inner.strides, *(0,) * (len(x.shape) - last))
            return Access(inner.buffer, around, inner.offset), x.shape[k], x.strides[k]

        return domain, Access(x.buffer, strides, x.offset, tuple(looked(k) for k in used))

    def _indexed(self, out: View, x: View, indices: Sequence[View | None]) -> None:
        domain, place = self._place(x, indices)
        self.steps.append(Map(domain, "{0}", (place,), Access(out.buffer, out.strides, out.offset)))

    def _written(self, out: View, indices: Sequence[View | None], value: View, adds: bool) -> None:
        domain, place = self._place(out, indices)
        self.steps.append(Map(domain, "{0}", (_spread(value, domain),), place, adds=adds, after=(out.buffer,)))

    # rows

    def _rows(self, x: View, dims: Sequence[int]) -> tuple[View, int]:
        """Return x with some dimensions at the end, and the size of these."""
        if not x.shape:
            return x, 1
        dims = [d % len(x.shape) for d in dims]
        order = [d for d in range(len(x.shape)) if d not in dims] + dims
        moved = View(x.buffer, tuple(x.shape[d] for d in order), tuple(x.strides[d] for d in order), x.offset, x.dtype)
        return moved, math.prod(x.shape[d] for d in dims)

    def _fold(self, node: Node) -> None:
        x, *rest = node.args
        details: list[Any] = []
        if node.op == "linalg_vector_norm":
            if rest and rest[0] != 2:
                raise self._refused("norms other than the Euclidean are not known to the page")
            rest = rest[1:]
        if node.op in ("std", "var"):
            details = [node.kwargs.get("correction", 1)]
        dims = rest[0] if rest else node.kwargs.get("dim")
        dims = [dims] if isinstance(dims, int) else dims
        if isinstance(x, View) and not dims:
            dims = list(range(len(x.shape)))
        rows, n = self._rows(x, dims)
        outs = [View(o.buffer, o.shape, o.strides, o.offset, o.dtype) for o in node.out]
        if node.op in ("max", "min") and len(outs) == 2:
            self.call(f"{FOLDS[node.op]}With", [rows], outs, [n])
        else:
            self.call(FOLDS[node.op], [rows], outs[:1], [n, *details])

    def _scan(self, node: Node) -> None:
        x, *rest = node.args
        dim = node.kwargs.get("dim", rest[0] if rest else -1) % max(len(x.shape), 1)
        details = (
            [bool(node.kwargs.get("descending", rest[1] if len(rest) > 1 else False))] if node.op == "sort" else []
        )
        rows, n = self._rows(x, [dim])
        outs = [self._rows(out, [dim])[0] for out in node.out]
        self.call(SCANS[node.op], [rows], outs, [n, *details])

    def op_log_softmax_backward_data(self, node: Node, grad: View, y: View, dim: int, _: Any) -> None:
        self.map("{0}-Math.exp({1})*{2}", [grad, y, self._total(grad, dim)], node.out[0])

    def op_softmax_backward_data(self, node: Node, grad: View, y: View, dim: int, _: Any) -> None:
        each = self.fresh(y.shape, y.dtype, self.buffers[node.out[0].buffer].mask)
        self.map("{0}*{1}", [grad, y], each)
        self.map("{0}-{1}*{2}", [each, y, self._total(each, dim)], node.out[0])

    def _total(self, x: View, dim: int) -> View:
        """Return the sum over a dimension, which is kept with the size one."""
        dim %= len(x.shape)
        out = self.fresh([1 if d == dim else n for d, n in enumerate(x.shape)], x.dtype, self.buffers[x.buffer].mask)
        rows, n = self._rows(x, [dim])
        self.call("sum", [rows], [out], [n])
        return out

    def op_searchsorted(self, node: Node, edges: View, x: Any, out_int32: bool = False, right: bool = False,
                        side: str | None = None, sorter: Any = None) -> None:  # fmt: skip
        rows = math.prod(edges.shape[:-1])
        if not isinstance(x, View):
            x = self.constant(torch.tensor(float(x), dtype=torch.float64))
        self.call("search", [edges, x], node.out, [edges.shape[-1], x.size // rows if rows > 1 else 0,
                                                   bool(right or side == "right")])  # fmt: skip

    def op_bucketize(self, node: Node, x: View, edges: View, out_int32: bool = False, right: bool = False) -> None:
        self.op_searchsorted(node, edges, x, right=right)

    # products

    def op_mm(self, node: Node, a: View, b: View) -> None:
        self._product(node.out[0], a, b)

    op_bmm = op_mm

    def op_mv(self, node: Node, a: View, b: View) -> None:
        self._product(_appended(node.out[0]), a, _appended(b))

    def op_dot(self, node: Node, a: View, b: View) -> None:
        self.steps.append(Call("dot", (self.whole(a), self.whole(b)), (node.out[0].buffer,)))

    def op_addmm(self, node: Node, bias: View, a: View, b: View, beta: float = 1, alpha: float = 1) -> None:
        out = node.out[0]
        made = self.fresh(out.shape, out.dtype, self.buffers[out.buffer].mask)
        self._product(made, a, b)
        self.map(f"{beta!r}*{{0}}+{alpha!r}*{{1}}" if (alpha, beta) != (1, 1) else "{0}+{1}", [bias, made], out)

    op_baddbmm = op_addmm

    def op_addmv(self, node: Node, bias: View, a: View, b: View, beta: float = 1, alpha: float = 1) -> None:
        out = node.out[0]
        made = self.fresh(out.shape, out.dtype, self.buffers[out.buffer].mask)
        self._product(_appended(made), a, _appended(b))
        self.map(f"{beta!r}*{{0}}+{alpha!r}*{{1}}" if (alpha, beta) != (1, 1) else "{0}+{1}", [bias, made], out)

    def op_convolution(
        self, node: Node, x: View, weight: View, bias: View | None, stride: Any, padding: Sequence[int], dilation: Any,
        is_transposed: bool, _: Any, groups: int,
    ) -> None:  # fmt: skip
        if is_transposed or groups != 1 or len(x.shape) != 4 or {*stride, *dilation} != {1}:
            raise self._refused("a convolution other than of images with stride 1 is not known to the page")
        (images, inner, H, W), (channels, _, tall, wide) = x.shape, weight.shape
        mask, out = self.buffers[node.out[0].buffer].mask, node.out[0]
        rows, columns = out.shape[2:]
        padded = self.fresh((images, inner, H + 2 * padding[0], W + 2 * padding[1]), x.dtype, mask)
        self.fill(padded)
        inside = _narrowed(_narrowed(padded, 2, padding[0], H), 3, padding[1], W)
        self.map("{0}", [x], inside, after=(padded.buffer,))
        # One product: the kernels, by what each sees at each place.
        seen = self.fresh((inner, tall, wide, images, rows, columns), x.dtype, mask)
        for i in range(tall):
            for j in range(wide):
                shifted = _swapped(_narrowed(_narrowed(padded, 2, i, rows), 3, j, columns))
                self.map("{0}", [shifted], _selected(_selected(seen, 1, i), 1, j))
        made = self.fresh((channels, images, rows, columns), out.dtype, mask)
        kernels = _reshaped(dataclasses.replace(weight, buffer=self.whole(weight)), channels)
        self._product(_reshaped(made, channels), kernels, _reshaped(seen, inner * tall * wide))
        if bias is None:
            self.map("{0}", [_swapped(made)], out)
        else:
            self.map("{0}+{1}", [_swapped(made), _appended(_appended(bias))], out)

    def _product(self, out: View, a: View, b: View) -> None:
        batch = a.shape[0] if len(a.shape) == 3 else 1
        n, k, m = *a.shape[-2:], b.shape[-1]
        # Rows of both factors one after another: b as it is, a as it is.
        self.call("product", [a, b], [out], [batch, n, k, m])

    def op_linalg_slogdet(self, node: Node, x: View) -> None:
        self.call("slogdet", [x], node.out[:2], [x.shape[-1]])

    def op_linalg_det(self, node: Node, x: View) -> None:
        self.call("det", [x], node.out[:1], [x.shape[-1]])

    def op_linalg_inv_ex(self, node: Node, x: View, check_errors: bool = False) -> None:
        self.call("inverse", [x], node.out[:1], [x.shape[-1]])

    def op_linalg_solve_triangular(
        self, node: Node, a: View, b: View, upper: bool, left: bool = True, unitriangular: bool = False
    ) -> None:
        if unitriangular:
            raise self._refused("linalg_solve_triangular of a unit diagonal is not known to the page")
        band = self.fresh(a.shape, a.dtype, self.buffers[node.out[0].buffer].mask)
        kept = self.constant((torch.triu if upper else torch.tril)(torch.ones(a.shape[-2:], dtype=torch.bool)))
        self.map("({0}?{1}:0)", [kept, a], band)
        self.op_linalg_solve_ex(node, band, b, left)

    def op_linalg_solve_ex(self, node: Node, a: View, b: View, left: bool = True, check_errors: bool = False) -> None:
        out = node.out[0]
        if len(out.shape) < len(a.shape):
            b, out = _appended(b), _appended(out)
        a = _expanded(a, (*out.shape[:-2], *a.shape[-2:]))
        b = _expanded(b, out.shape)
        if not left:
            a, b, out = map(_transposed, (a, b, out))
        self.call("solve", [a, b], [out], [a.shape[-1], b.shape[-1]])

    def op_loop(self, node: Node, starts: Any, ends: Any, more: View, most: int, body: tuple[Node, ...]) -> None:
        for start, state in zip(starts, node.out, strict=True):
            self.map("{0}", [start], state)
        outer, self.steps = self.steps, []
        for one in body:
            self.add(one)
        own = {state.buffer for state in node.out}
        nexts = [end if end.buffer not in own else self._copied(end) for end in ends]
        steps, self.steps = self.steps, []
        for end, state in zip(nexts, node.out, strict=True):
            self.map("{0}", [end], state)
        last, self.steps = self.steps, outer
        made = own | {buffer for step in steps for buffer in written_by(step)}
        reads = {buffer for step in (*steps, *last) for buffer in read_by(step)} - made
        self.steps.append(Loop(tuple(reads), tuple(own), tuple(steps), tuple(last), more.buffer, most))

    def _copied(self, view: View) -> View:
        made = self.fresh(view.shape, view.dtype, self.buffers[view.buffer].mask)
        self.map("{0}", [view], made)
        return made


def accesses_of(step: Map) -> Iterator[Access]:
    """Yield what a map reads, also to find places."""
    for read in step.reads:
        if isinstance(read, Access):
            yield read
            yield from looked_up_by(read)
    yield from looked_up_by(step.out)


def looked_up_by(access: Access) -> Iterator[Access]:
    """Yield where the places of an access are read."""
    yield from (inner for inner, _, _ in access.looked_up)


def read_by(step: Step) -> set[int]:
    """Return the buffers that a step reads."""
    if isinstance(step, Map):
        return {access.buffer for access in accesses_of(step)} | ({step.out.buffer} if step.adds else set())
    return set(step.reads)


def written_by(step: Step) -> tuple[int, ...]:
    """Return the buffers that a step writes, a loop also those of its turns."""
    if isinstance(step, Map):
        return (step.out.buffer,)
    inner = (buffer for one in getattr(step, "steps", ()) for buffer in written_by(one))
    return (*step.outs, *inner)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spread(view: View, domain: Sequence[int]) -> Access:
    """Return a view as it is read over a domain of its shape or a wider one."""
    pad = len(domain) - len(view.shape)
    strides = (
        0 if d < pad or (view.shape[d - pad] == 1 and domain[d] != 1) else view.strides[d - pad]
        for d in range(len(domain))
    )
    return Access(view.buffer, tuple(strides), view.offset)


def _narrowed(view: View, dim: int, start: int, count: int) -> View:
    shape = tuple(count if d == dim else n for d, n in enumerate(view.shape))
    return View(view.buffer, shape, view.strides, view.offset + start * view.strides[dim], view.dtype)


def _selected(view: View, dim: int, index: int) -> View:
    index %= view.shape[dim]
    shape, strides = (tuple(n for d, n in enumerate(each) if d != dim) for each in (view.shape, view.strides))
    return View(view.buffer, shape, strides, view.offset + index * view.strides[dim], view.dtype)


def _sliced(view: View, dim: int, start: int | None, step: int, count: int) -> View:
    dim %= len(view.shape)
    start = 0 if start is None else max(start + view.shape[dim], 0) if start < 0 else start
    narrow = _narrowed(view, dim, start, count)
    strides = tuple(s * step if d == dim else s for d, s in enumerate(view.strides))
    return View(view.buffer, narrow.shape, strides, narrow.offset, view.dtype)


def _diagonal(view: View, offset: int, one: int, two: int) -> View:
    one, two = one % len(view.shape), two % len(view.shape)
    start = view.offset + (offset * view.strides[two] if offset >= 0 else -offset * view.strides[one])
    n = min(view.shape[one] + min(offset, 0), view.shape[two] - max(offset, 0))
    rest = [d for d in range(len(view.shape)) if d not in (one, two)]
    shape = (*(view.shape[d] for d in rest), n)
    strides = (*(view.strides[d] for d in rest), view.strides[one] + view.strides[two])
    return View(view.buffer, shape, strides, start, view.dtype)


def _expanded(view: View, shape: Sequence[int]) -> View:
    return View(view.buffer, tuple(shape), _spread(view, shape).strides, view.offset, view.dtype)


def _transposed(view: View) -> View:
    shape, strides = ((*each[:-2], each[-1], each[-2]) for each in (view.shape, view.strides))
    return View(view.buffer, shape, strides, view.offset, view.dtype)


def _swapped(view: View) -> View:
    """Return a view with its first two dimensions exchanged."""
    shape, strides = ((each[1], each[0], *each[2:]) for each in (view.shape, view.strides))
    return View(view.buffer, shape, strides, view.offset, view.dtype)


def _reshaped(view: View, rows: int) -> View:
    """Return a view of a whole buffer as a matrix of so many rows."""
    shape = rows, view.size // rows
    return View(view.buffer, shape, steps_of(shape), 0, view.dtype)


def _appended(view: View) -> View:
    return View(view.buffer, (*view.shape, 1), (*view.strides, 1), view.offset, view.dtype)
