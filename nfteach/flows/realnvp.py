"""RealNVP: coupling layers, the masks that alternate between them, and batch normalisation as a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .checks import check_mask, check_sizes
from .flow import Flow, Stack

__all__ = ["AffineCoupling", "BatchNorm", "MaskedFlow", "RealNVP", "alternating_mask", "half_mask", "mlp"]


def alternating_mask(dim: int, flip: bool = False) -> Tensor:
    """Return the mask (D,) that passes the dimensions 0, 2, 4, ...; with ``flip``, the dimensions 1, 3, 5, ..."""
    return torch.arange(dim) % 2 == int(flip)


def half_mask(dim: int, split: int | None = None, flip: bool = False) -> Tensor:
    """Return the mask (D,) that passes the first ``split`` dimensions, by default half; with ``flip``, the rest."""
    return (torch.arange(dim) < (dim // 2 if split is None else split)) != flip


class MaskedFlow(Flow):
    """A flow that passes the dimensions of a mask unchanged; base class of couplings and of :class:`FactorOut`.

    Args:
        mask: (D,) boolean, True = passes through unchanged. At least one True and one False.

    Raises:
        ValueError: if ``mask`` is not a boolean vector, or passes everything or nothing.
    """

    def __init__(self, mask: Tensor | Sequence[bool]) -> None:
        mask = check_mask(mask)
        super().__init__(len(mask))
        self.register_buffer("mask", mask.clone())
        self.register_buffer("kept", mask.nonzero().squeeze(-1))
        self.register_buffer("changed", (~mask).nonzero().squeeze(-1))
        # The position of each dimension in the joined parts [A, B]: not simply A before B when D > 2.
        self.register_buffer("joined", torch.cat([self.kept, self.changed]).argsort())

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x_A (..., d), the dimensions that pass, and x_B (..., D - d), the rest, of x (..., D)."""
        return x.index_select(-1, self.kept), x.index_select(-1, self.changed)

    def join(self, x_a: Tensor, x_b: Tensor) -> Tensor:
        """Return x (..., D) from x_A and x_B: the inverse of :meth:`split`."""
        return torch.cat([x_a, x_b], dim=-1).index_select(-1, self.joined)


class AffineCoupling(MaskedFlow):
    r"""A coupling layer: some dimensions pass unchanged, and determine a scale and a shift of the rest.

    With x_A the dimensions that the mask passes and x_B the rest,

        y_A = x_A,    y_B = x_B * exp(s(x_A)) + t(x_A),

    and the inverse is x_B = (y_B - t(y_A)) * exp(-s(y_A)). The Jacobian is block triangular with an identity block, and
    its determinant is exp(sum s): s and t may be any functions, and are neither inverted nor differentiated.

    As in the paper, s = scale * tanh(...) with a learnt scale for each dimension, which bounds exp(s).

    Args:
        mask: (D,) boolean, True = passes through unchanged. At least one True and one False.
        hidden: the widths of the hidden layers (ReLU) of the network that computes s and t.
        additive: if True, s = 0: the volume-preserving coupling of NICE.
        conditioner: a module in place of that network: x_A (..., d) -> (..., 2 (D - d)), s before its tanh, then t.

    Raises:
        ValueError: if ``mask`` is not a boolean vector, or passes everything or nothing.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), equations 4 to 9, https://arxiv.org/abs/1605.08803;
        NICE (Dinh et al., 2015), https://arxiv.org/abs/1410.8516

    Example:
        >>> layer = AffineCoupling(torch.tensor([True, False, True]))
        >>> x = torch.randn(5, 3)
        >>> y, ladj = layer.call_and_ladj(x)
        >>> torch.equal(y[:, 0], x[:, 0]), ladj.shape
        (True, torch.Size([5]))
    """

    formula = r"\log|\det J| = \sum_{i \in B} s_i(x_A)"

    def __init__(
        self,
        mask: Tensor | Sequence[bool],
        hidden: Sequence[int] = (64, 64),
        *,
        additive: bool = False,
        conditioner: nn.Module | None = None,
    ) -> None:
        super().__init__(mask)
        self.additive = additive
        d, rest = len(self.kept), len(self.changed)
        self.conditioner = conditioner if conditioner is not None else mlp(d, hidden, 2 * rest)
        if not additive:
            self.scale = nn.Parameter(torch.ones(rest))

    def extra_repr(self) -> str:
        return f"mask={self.mask.int().tolist()}" + (", additive=True" if self.additive else "")

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Compute s and t, each (..., D - d), from x_A (..., d)."""
        raw, t = self.conditioner(kept).chunk(2, dim=-1)
        return (torch.zeros_like(t) if self.additive else self.scale * torch.tanh(raw)), t

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x_a, x_b = self.split(self.check_input(x))
        s, t = self.scale_and_shift(x_a)
        return self.join(x_a, x_b * torch.exp(s) + t), s.sum(-1)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y_a, y_b = self.split(self.check_input(y))
        s, t = self.scale_and_shift(y_a)
        return self.join(y_a, (y_b - t) * torch.exp(-s)), -s.sum(-1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        x_a, _ = self.split(self.check_input(x))
        s, t = self.scale_and_shift(x_a)
        return {
            "x_A": x_a,
            "s(x_A)": s,
            "t(x_A)": t,
            "det = exp(sum s)": s.sum(-1).exp(),
            "log|det J|": s.sum(-1),
        }


class BatchNorm(Flow):
    r"""Batch normalisation as a flow: y = (x - mean) / sqrt(var + eps), dimension by dimension.

    In training mode, mean and variance are those of the batch, and running averages of them are updated. In evaluation
    mode, the running averages are used. The log-determinant is that of this diagonal map with mean and variance held
    constant. In training mode they depend on every sample, so the layer does not map samples one by one: inspect and
    invert it in evaluation mode.

    A density model normalises on the way from x to z; in a stack that maps z to x, use ``BatchNorm(dim).inv``.

    Args:
        dim: D, the number of dimensions.
        eps: a constant that is added to the variance.
        momentum: the weight of the new batch in the running averages.

    Raises:
        ValueError: if the inverse is called in training mode, where no batch gives the statistics; or if a batch has
            fewer than two samples in training mode.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 3.7 and appendix E,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> y, ladj = BatchNorm(2).call_and_ladj(torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
        >>> y.round(decimals=2)
        tensor([[-1., -1.],
                [ 1.,  1.]])
    """

    formula = r"\log|\det J| = -\tfrac12 \sum_{i=1}^{D} \log(\mathrm{var}_i + \epsilon)"

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        check_sizes(dim=dim)
        super().__init__(dim)
        self.eps, self.momentum = eps, momentum
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}, momentum={self.momentum}"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.check_input(x)
        mean, var = self._statistics(x)
        if self.training:
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), self.momentum)
                self.running_var.lerp_(var.detach(), self.momentum)
        return (x - mean) / torch.sqrt(var + self.eps), self._ladj(var, x)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self.check_input(y)
        if self.training:
            raise ValueError("BatchNorm must be in evaluation mode for its inverse, but is not; try .eval()")
        return y * torch.sqrt(self.running_var + self.eps) + self.running_mean, -self._ladj(self.running_var, y)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        x = self.check_input(x)
        mean, var = self._statistics(x)
        return {"mean": mean, "var": var, "log|det J|": self._ladj(var, x)}

    def _ladj(self, var: Tensor, x: Tensor) -> Tensor:
        return -0.5 * torch.log(var + self.eps).sum().expand(x.shape[:-1])

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean, self.running_var
        rows = x.reshape(-1, self.dim)
        if len(rows) < 2:
            raise ValueError(f"x must hold at least 2 samples in training mode, but holds {len(rows)}; try .eval()")
        return rows.mean(0), rows.var(0, unbiased=False)


class RealNVP(Stack):
    r"""Coupling layers with alternating masks, z -> x: each layer transforms the dimensions that the last one passed.

    Both directions cost one pass through each layer's network, so density and sampling are equally cheap.

    Args:
        dim: D, at least 2.
        layers: K, the number of coupling layers.
        hidden: the widths of the hidden layers of each network.
        batch_norm: whether a :class:`BatchNorm` follows each coupling but the last, seen from x to z.

    Raises:
        ValueError: if ``dim`` is below 2, so that there is nothing to couple, or ``layers`` is below 1.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), sections 3.4 and 3.5, https://arxiv.org/abs/1605.08803

    Example:
        >>> from nfteach.flows import FlowDistribution
        >>> base = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
        >>> q = FlowDistribution(base, RealNVP(3, layers=4))
        >>> q.log_prob(q.sample((10,))).shape
        torch.Size([10])
    """

    def __init__(
        self, dim: int, layers: int = 8, hidden: Sequence[int] = (64, 64), *, batch_norm: bool = False
    ) -> None:
        if dim < 2:
            raise ValueError(f"dim must be at least 2, so that one dimension can transform another, but is {dim}")
        if layers < 1:
            raise ValueError(f"layers must be at least 1, but is {layers}")
        flows: list[Flow] = []
        for k in range(layers):
            if batch_norm and k > 0:
                flows.append(BatchNorm(dim).inv)
            flows.append(AffineCoupling(alternating_mask(dim, flip=k % 2 == 1), hidden))
        super().__init__(*flows)


def mlp(
    inputs: int, hidden: Sequence[int], outputs: int, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Build a network (..., inputs) -> (..., outputs) with an activation after each hidden layer."""
    widths = [inputs, *hidden]
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))
