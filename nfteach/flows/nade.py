"""NADE: a distribution over binary vectors as a product of conditionals that share their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from .checks import check_sizes
from .flow import Flow
from .orderings import as_ordering

__all__ = ["NADE", "NADEStep"]


BLOCK = 16  #: the number of steps whose columns are summed in one product
LARGEST = 2**19  #: the largest number of activations in a part, for a processor's cache


def running_activations(start: Tensor, x: Tensor, columns: Tensor) -> tuple[int, Iterator[Tensor]]:
    """Compute all activations a_d, (D, N, H), steps first, in parts; a single part if they are few.

    The recurrence a_{d+1} = a_d + column_d x_d is a cumulative sum. Within a block of steps it is computed as a product
    with a triangular matrix of ones, which is much faster than a loop over the steps; the cost remains O(D H).

    Args:
        start: (H,) or (D, H), a term of every a_d.
        x: (N, D), along the ordering.
        columns: (D, H), along the ordering.

    Returns:
        The number of steps in a part, for ``tensor.split``, and an iterator over the parts (steps, N, H).
    """
    blocks = max(1, LARGEST // (BLOCK * max(1, len(x)) * columns.shape[1]))  # in one part

    def parts() -> Iterator[Tensor]:
        a, part = x.new_zeros(len(x), columns.shape[1]), []
        # split, because the gradient of each slice would be a tensor of full size
        split = (x.split(BLOCK, 1), columns.split(BLOCK), start.expand_as(columns).split(BLOCK))
        for own, weights, first in zip(*split, strict=True):
            before = own.new_ones(own.shape[1], own.shape[1]).tril(-1)  # (steps, steps): 1 where k < d
            part.append((before[:, None] * own) @ weights + (a + first[:, None]))
            a = a + own @ weights
            if len(part) == blocks:
                yield torch.cat(part)
                part = []
        if part:
            yield torch.cat(part)

    return blocks * BLOCK, parts()


class NADEStep(NamedTuple):
    """One step of a NADE along its ordering; the leading dimensions (...) are those of x.

    ``multiply_adds`` is the cost of the steps so far for one example if the activation a is updated from step to step,
    ``multiply_adds_direct`` the cost if each step recomputes the activation from all earlier pixels.
    """

    position: int  # d - 1: 0 for the first pixel of the ordering
    index: int  # o_d, the pixel
    a: Tensor  # (..., H)
    h: Tensor  # (..., H)
    logit: Tensor  # (...)
    probability: Tensor  # (...), of a one
    value: Tensor  # (...), the pixel, observed or drawn
    log_prob: Tensor  # (...), log p(x_{o_d} | x_{o_<d}) in nats
    running_log_prob: Tensor  # (...), the sum of the terms so far
    multiply_adds: int
    multiply_adds_direct: int


class NADE(nn.Module):
    r"""The neural autoregressive distribution estimator for binary vectors.

    By the product rule, p(x) = prod_d p(x_{o_d} | x_{o_<d}) for any ordering o of the dimensions. Each conditional is
    a network with one hidden layer, and the D networks share their weights:

    .. math::
        a_1 = c, \quad h_d = \sigma(a_d), \quad
        p(x_{o_d} = 1 \mid x_{o_{<d}}) = \sigma(V_{o_d,:} h_d + b_{o_d}), \quad
        a_{d+1} = a_d + W_{:,o_d} x_{o_d}.

    As a_{d+1} is a_d plus one column, density and sampling cost O(D H) instead of O(D^2 H). V is a separate matrix, not
    the transpose of W.

    NADE is not a flow: it assigns probabilities to the 2^D points of a discrete set. There is no volume for a map to
    stretch, and so no Jacobian. Like a distribution, it has ``event_shape``, ``log_prob`` and ``sample``.

    With ``order_agnostic=True`` one model serves every ordering. The hidden units then also receive the set of pixels
    seen so far, a = c + sum over seen k of (W_{:,k} x_k + M_{:,k}), because an unseen pixel would otherwise equal a
    zero. Train such a model with :meth:`order_agnostic_loss`.

    Args:
        dim: D, the number of binary dimensions.
        hidden: H, the number of hidden units.
        ordering: (D,), a permutation of 0, 1, ... D - 1; by default the identity.
        order_agnostic: whether the model has mask weights M.

    Raises:
        ValueError: if ``dim`` or ``hidden`` is below 1, or ``ordering`` is not a permutation.

    References:
        Neural Autoregressive Distribution Estimation (Uria et al., 2016), the sections on NADE, on orderless training
        and on ensembles of orderings, https://arxiv.org/abs/1605.02226

    Example:
        >>> nade = NADE(3, hidden=5)
        >>> states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)  # all 2^3
        >>> print(f"{nade.log_prob(states).exp().sum():.4f}")
        1.0000
    """

    def __init__(
        self, dim: int, hidden: int, ordering: Sequence[int] | Tensor | None = None, *, order_agnostic: bool = False
    ) -> None:
        super().__init__()
        check_sizes(dim=dim, hidden=hidden)
        self.dim, self.hidden, self.order_agnostic = dim, hidden, order_agnostic
        self.event_shape = torch.Size((dim,))
        self.W = nn.Parameter(torch.randn(hidden, dim) / math.sqrt(dim))
        self.V = nn.Parameter(torch.randn(dim, hidden) / math.sqrt(hidden))
        self.b = nn.Parameter(torch.zeros(dim))
        self.c = nn.Parameter(torch.zeros(hidden))
        self.M = nn.Parameter(torch.randn(hidden, dim) / math.sqrt(dim)) if order_agnostic else None
        self.register_buffer("ordering", as_ordering(ordering, dim))

    def extra_repr(self) -> str:
        return f"{self.dim}, hidden={self.hidden}" + (", order_agnostic=True" if self.order_agnostic else "")

    def check_input(self, x: Tensor) -> Tensor:
        """Return ``x`` if it is binary and has this model's shape and dtype.

        Raises:
            ValueError: if ``x`` is not a tensor, its last dimension is not D, its dtype is not that of the parameters,
                or it holds values other than 0 and 1.
        """
        x = Flow.check_input(self, x)  # the same checks and messages as for flows
        binary = (x == 0) | (x == 1)
        if not bool(binary.all()):
            raise ValueError(
                f"NADE({self.dim}): x must be binary, but holds {x[~binary][0].item():.4g}; "
                "try (x > threshold).to(x.dtype), or RNADE for real values"
            )
        return x

    def log_prob(self, x: Tensor, *, ordering: Sequence[int] | Tensor | None = None) -> Tensor:
        """Return log p(x) in nats, shape (...), for binary x (..., D); all conditionals are computed in one pass.

        Args:
            x: (..., D), zeros and ones.
            ordering: (D,), an ordering to use in place of the model's.

        Raises:
            ValueError: if ``x`` is not a valid input (see :meth:`check_input`), or ``ordering`` is not a permutation.
        """
        x, ordering = self.check_input(x), self._ordering(ordering)
        return _log_bernoulli(self._logits(x, ordering), x[..., ordering]).sum(-1)

    def conditionals(self, x: Tensor, *, ordering: Sequence[int] | Tensor | None = None) -> Tensor:
        """Return p(x_i = 1 | the pixels before i), shape (..., D) in the order of the data, for binary x (..., D)."""
        x, ordering = self.check_input(x), self._ordering(ordering)
        return torch.sigmoid(self._logits(x, ordering))[..., ordering.argsort()]

    def steps(self, x: Tensor, *, ordering: Sequence[int] | Tensor | None = None) -> list[NADEStep]:
        """Return one :class:`NADEStep` per pixel, along the ordering, for binary x (..., D)."""
        x = self.check_input(x)
        return list(self._walk(x.shape[:-1], lambda index, probability: x[..., index], self._ordering(ordering)))

    @torch.no_grad()
    def sample_steps(
        self,
        sample_shape: Sequence[int] = (),
        *,
        ordering: Sequence[int] | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> list[NADEStep]:
        """Draw a sample and return one :class:`NADEStep` per pixel, each pixel drawn given the earlier ones."""
        return list(self._walk(torch.Size(sample_shape), _bernoulli(generator), self._ordering(ordering)))

    @torch.no_grad()
    def sample(
        self,
        sample_shape: Sequence[int] = (),
        *,
        ordering: Sequence[int] | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw samples (*sample_shape, D), pixel by pixel, in O(D H) each."""
        x = self.b.new_empty((*sample_shape, self.dim))
        for step in self._walk(x.shape[:-1], _bernoulli(generator), self._ordering(ordering)):
            x[..., step.index] = step.value
        return x

    def order_agnostic_loss(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Estimate -log p(x) averaged over all D! orderings, without bias, in nats, shape (...).

        A random ordering and a random cut d are drawn for each example. The pixels before the cut are seen, and
        :meth:`hidden_loss` scores the predictions of the remaining ones.

        References:
            Uria et al. (2016), on orderless training, https://arxiv.org/abs/1605.02226
        """
        x = self.check_input(x)
        rank = torch.rand(x.shape, generator=generator, device=x.device).argsort(-1).argsort(-1)
        seen_pixels = torch.randint(self.dim, (*x.shape[:-1], 1), generator=generator, device=x.device)  # d - 1
        return self.hidden_loss(x, rank < seen_pixels)

    def hidden_loss(self, x: Tensor, seen: Tensor) -> Tensor:
        """Compute D / (number of hidden pixels) times the sum of their -log p(x_i | seen pixels), in nats, (...).

        Args:
            x: (..., D), zeros and ones.
            seen: (..., D) boolean, True where a pixel is seen, False where it is to be predicted (at least one).

        Raises:
            ValueError: if ``x`` is not a valid input (see :meth:`check_input`), or ``seen`` is not boolean or hides no
                pixel of an example.
        """
        x = self.check_input(x)
        if seen.dtype != torch.bool or bool(seen.all(-1).any()):
            raise ValueError("seen must be boolean, with at least one False (hidden) pixel in each example, but is not")
        a = self.c + (x * seen) @ self.W.T
        if self.M is not None:
            a = a + seen.to(x.dtype) @ self.M.T
        terms = _log_bernoulli(torch.sigmoid(a) @ self.V.T + self.b, x)
        return -self.dim * (terms * ~seen).sum(-1) / (~seen).sum(-1)

    def ensemble_log_prob(self, x: Tensor, orderings: Iterable[Sequence[int] | Tensor]) -> Tensor:
        """Return the log of the probability averaged over ``orderings`` (EoNADE), in nats, (...), for x (..., D)."""
        log_probs = [self.log_prob(x, ordering=ordering) for ordering in orderings]
        if not log_probs:
            raise ValueError("orderings must hold at least one ordering, but is empty")
        return torch.logsumexp(torch.stack(log_probs), 0) - math.log(len(log_probs))

    def _ordering(self, ordering: Sequence[int] | Tensor | None) -> Tensor:
        return self.ordering if ordering is None else as_ordering(ordering, self.dim).to(self.ordering.device)

    def _columns(self, x: Tensor, index: int | Tensor) -> Tensor:
        """Return the terms (..., H) of the activation from the pixels ``index`` of values x (...)."""
        columns = x[..., None] * self.W.T[index]
        return columns if self.M is None else columns + self.M.T[index]

    def _logits(self, x: Tensor, ordering: Tensor) -> Tensor:
        """Compute the logits of all conditionals, (..., D) along the ordering."""
        start, V = self.c, self.V[ordering]
        if self.M is not None:
            M = self.M.T[ordering]
            start = start + M.cumsum(0) - M  # the terms of the earlier pixels
        steps, parts = running_activations(start, x.reshape(-1, self.dim)[:, ordering], self.W.T[ordering])
        logits = torch.cat([torch.sigmoid(a) @ V for a, V in zip(parts, V[..., None].split(steps), strict=True)])
        return logits.squeeze(-1).T.reshape(x.shape) + self.b[ordering]

    def _walk(self, shape: torch.Size, choose: Callable[[int, Tensor], Tensor], ordering: Tensor) -> Iterator[NADEStep]:
        """Yield the steps along the ordering; ``choose`` maps a pixel and its probability to its value (...)."""
        a, running = self.c.expand(*shape, self.hidden), self.c.new_zeros(shape)
        inputs = self.hidden * (1 if self.M is None else 2)
        for position, index in enumerate(ordering.tolist()):
            h = torch.sigmoid(a)
            logit = h @ self.V[index] + self.b[index]
            probability = torch.sigmoid(logit)
            value = choose(index, probability)
            log_prob = _log_bernoulli(logit, value)
            running = running + log_prob
            outputs = (position + 1) * self.hidden
            updates, sums = position * inputs, position * (position + 1) // 2 * inputs
            yield NADEStep(
                position, index, a, h, logit, probability, value, log_prob, running, outputs + updates, outputs + sums
            )
            a = a + self._columns(value, index)


def _log_bernoulli(logit: Tensor, x: Tensor) -> Tensor:
    """Return log p(x) for p(1) = sigmoid(logit), elementwise; 1 - sigmoid(l) is sigmoid(-l)."""
    return logsigmoid((2 * x - 1) * logit)


def _bernoulli(generator: torch.Generator | None) -> Callable[[int, Tensor], Tensor]:
    return lambda index, probability: torch.bernoulli(probability, generator=generator)
