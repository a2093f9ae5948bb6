"""The contract of a flow, and the compositions that need no new mathematics."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.distributions.transforms import Transform

from .orderings import as_ordering

__all__ = ["Flow", "InverseFlow", "Permutation", "Stack", "Step"]


class Flow(nn.Module, Transform):
    r"""An invertible, differentiable map of a whole event, with the log-determinant of its Jacobian.

    A flow is both an :class:`torch.nn.Module` and a :class:`torch.distributions.Transform`. A new layer writes

    - ``call_and_ladj(x)``: ``x`` (..., D) to ``y`` (..., D) and ``ladj`` (...), which is log\|det dy/dx\| at ``x``;
    - ``inverse_and_ladj(y)``: ``y`` (..., D) to ``x`` (..., D) and ``ladj`` (...), which is log\|det dx/dy\| at ``y``;
    - optionally, ``formula`` and ``terms(x)``: the log-det formula in TeX, and its named quantities at ``x``;

    and gets ``layer(x)``, ``layer.inv(y)`` and ``layer.log_abs_det_jacobian(x, y)`` from them. Log-determinants are in
    nats; those of a layer and of its inverse sum to zero.

    Args:
        event_shape: the shape of one event: ``D`` for vectors, ``(C, H, W)`` for images.

    References:
        Normalizing Flows for Probabilistic Modeling and Inference (Papamakarios et al., 2021), section 2.1,
        https://arxiv.org/abs/1912.02762

    Example:
        >>> import math
        >>> class Double(Flow):
        ...     def call_and_ladj(self, x):
        ...         return 2 * x, torch.full(x.shape[:-1], self.dim * math.log(2.0))
        ...     def inverse_and_ladj(self, y):
        ...         return y / 2, torch.full(y.shape[:-1], -self.dim * math.log(2.0))
        >>> double = Double(3)
        >>> double.inv(double(torch.ones(3)))
        tensor([1., 1., 1.])
        >>> double.log_abs_det_jacobian(torch.ones(3), double(torch.ones(3)))
        tensor(2.0794)
    """

    bijective = True
    formula: str = r"\log|\det J|"

    def __init__(self, event_shape: int | Sequence[int]) -> None:
        nn.Module.__init__(self)
        Transform.__init__(self, cache_size=0)
        shape = (event_shape,) if isinstance(event_shape, int) else tuple(event_shape)
        if not shape or any(not isinstance(size, int) or size < 1 for size in shape):
            raise ValueError(f"event_shape must be positive whole numbers, at least one, but is {event_shape!r}")
        self.event_shape = torch.Size(shape)

    # Transform defines __eq__ and thereby takes __hash__ away; modules must be hashable.
    __hash__ = nn.Module.__hash__

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_inv": None}  # a weak reference cannot be pickled, and a copy makes its own

    @property
    def dim(self) -> int:
        """The number D of dimensions of one event."""
        return self.event_shape.numel()

    @property
    def domain(self) -> constraints.Constraint:
        return constraints.independent(constraints.real, len(self.event_shape))

    codomain = domain

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return y (..., D) and log|det dy/dx| (...), at x (..., D)."""
        raise TypeError(f"{type(self).__name__} must define call_and_ladj(self, x), its forward map, but does not")

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (..., D) and log|det dx/dy| (...), at y (..., D)."""
        raise TypeError(f"{type(self).__name__} must define inverse_and_ladj(self, y), its inverse map, but does not")

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the named quantities of ``formula`` at x (..., D), for the verbose report."""
        return {"log|det J|": self.call_and_ladj(x)[1]}

    def check_input(self, x: Tensor) -> Tensor:
        """Return ``x`` if it is a valid input of this flow.

        Raises:
            ValueError: if ``x`` is not a tensor, its last dimensions are not ``event_shape``, or its dtype is not that
                of the flow's parameters.
        """
        name = f"{type(self).__name__}({', '.join(map(str, self.event_shape))})"
        if not isinstance(x, Tensor):
            raise ValueError(f"{name}: x must be a tensor, but is a {type(x).__name__}; try torch.as_tensor(x)")
        n = len(self.event_shape)
        if x.shape[max(x.dim() - n, 0) :] != self.event_shape:
            wanted = ", ".join(["..."] + [str(size) for size in self.event_shape])
            raise ValueError(f"{name}: x must have the shape ({wanted}), but has the shape {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"{name}: x must be real floating point, but is {x.dtype}; try x.float()")
        own = next((p.dtype for p in chain(self.parameters(), self.buffers()) if p.is_floating_point()), x.dtype)
        if x.dtype != own:
            raise ValueError(
                f"{name}: x is {x.dtype} but the parameters are {own}; try x.to({own}), or flow.to({x.dtype})"
            )
        return x

    # The interface of nn.Module and Transform, derived from the two methods above.

    def forward(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.inverse_and_ladj(y)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log|det dy/dx| (...) at the input x (..., D); y is part of torch's interface and unused."""
        return self.call_and_ladj(x)[1]

    def with_cache(self, cache_size: int = 1) -> Flow:
        """Return the flow itself: a cache would return stale values after an optimiser step."""
        return self

    @property
    def inv(self) -> Flow:
        """The inverse map as a flow that shares the parameters of this flow; ``flow.inv.inv is flow``."""
        inverse = self._inv() if self._inv is not None else None
        if inverse is None:
            inverse = InverseFlow(self)
            self._inv = weakref.ref(inverse)  # weak, or the pair would keep each other alive
        return inverse


class InverseFlow(Flow):
    """The inverse of a flow, y -> x, usually obtained as ``flow.inv``."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow.event_shape)
        self.flow = flow

    domain = property(lambda self: self.flow.codomain)
    codomain = property(lambda self: self.flow.domain)

    @property
    def formula(self) -> str:
        return r"-\left[" + self.flow.formula + r"\right]_{x = f^{-1}(y)}"

    @property
    def inv(self) -> Flow:
        return self.flow

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.inverse_and_ladj(x)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.call_and_ladj(y)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return self.flow.terms(self.flow.inverse_and_ladj(x)[0])


class Step(NamedTuple):
    """One layer's record in a :class:`Stack`. Tensors are (..., D) and (...); log-determinants are in nats."""

    index: int
    layer: Flow
    input: Tensor
    output: Tensor
    ladj: Tensor
    running_ladj: Tensor


class Stack(Flow):
    r"""The composition of flows, in the order in which they are applied: y = f_K(... f_2(f_1(x))).

    The Jacobian is the product J_K ... J_1, each factor at its own layer's input, so the log-determinants add.

    Args:
        layers: the flows f_1, f_2, ... f_K, all of one event shape.

    Raises:
        ValueError: if no layer is given, a layer is not a ``Flow``, or the event shapes differ.

    Example:
        >>> stack = Stack(Permutation([1, 2, 0]), Permutation([2, 1, 0]))
        >>> stack(torch.tensor([10.0, 20.0, 30.0]))
        tensor([10., 30., 20.])
        >>> [step.index for step in stack.steps(torch.zeros(3))]
        [0, 1]
    """

    formula = r"\log|\det J| = \sum_{k=1}^{K} \log|\det J_k(x_{k-1})|, \quad x_k = f_k(x_{k-1})"

    def __init__(self, *layers: Flow) -> None:
        if not layers:
            raise ValueError("layers must hold at least one flow, but is empty")
        for index, layer in enumerate(layers):
            if not isinstance(layer, Flow):
                raise ValueError(f"layers[{index}] must be a Flow, but is a {type(layer).__name__}")
            if layer.event_shape != layers[0].event_shape:
                raise ValueError(
                    f"layers[{index}] must take events of shape {tuple(layers[0].event_shape)}, as layers[0] does, "
                    f"but takes {tuple(layer.event_shape)}"
                )
        super().__init__(layers[0].event_shape)
        self.layers = nn.ModuleList(layers)

    domain = property(lambda self: self[0].domain)
    codomain = property(lambda self: self[-1].codomain)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Flow]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Flow:
        """Return one layer, or for a slice the stack of those layers; the parameters are shared."""
        if isinstance(index, slice):
            return Stack(*list(self.layers)[index])
        return self.layers[index]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = 0.0
        for layer in self.layers:
            x, ladj = layer.call_and_ladj(x)
            total = total + ladj
        return x, total

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        total = 0.0
        for layer in reversed(self.layers):
            y, ladj = layer.inverse_and_ladj(y)
            total = total + ladj
        return y, total

    def steps(self, x: Tensor) -> list[Step]:
        """Return one :class:`Step` per layer, in the order applied, for x (..., D)."""
        records, running = [], 0.0
        for index, layer in enumerate(self.layers):
            y, ladj = layer.call_and_ladj(x)
            running = running + ladj
            records.append(Step(index, layer, x, y, ladj, running))
            x = y
        return records

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        return {f"log|det J_{step.index + 1}|": step.ladj for step in self.steps(x)}


class Permutation(Flow):
    r"""A permutation of the dimensions: y_i = x_{ordering[i]}. The Jacobian permutes too, so log\|det J\| = 0.

    Args:
        ordering: a permutation of 0, 1, ... D - 1.

    Raises:
        ValueError: if ``ordering`` is not a permutation.

    Example:
        >>> Permutation([2, 0, 1])(torch.tensor([10.0, 20.0, 30.0]))
        tensor([30., 10., 20.])
    """

    formula = r"\log|\det P| = \log 1 = 0"

    def __init__(self, ordering: Sequence[int] | Tensor) -> None:
        ordering = as_ordering(ordering, len(ordering))
        super().__init__(len(ordering))
        self.register_buffer("ordering", ordering)
        self.register_buffer("inverse_ordering", ordering.argsort())

    def extra_repr(self) -> str:
        return f"ordering={self.ordering.tolist()}"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.check_input(x)
        return x.index_select(-1, self.ordering), x.new_zeros(x.shape[:-1])

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self.check_input(y)
        return y.index_select(-1, self.inverse_ordering), y.new_zeros(y.shape[:-1])
