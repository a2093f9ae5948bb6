"""Sound layers in plain form, each with its log-det by its own formula, for the proof that none is called wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["ActNorm", "Conv1x1", "Coupling", "Matrix", "Moved", "Spline", "affine", "net", "spline"]


class Matrix(nn.Module):
    """y = A x with A by its parts: "triangular", "LU" (P L U), "exponential" (orthogonal) or "Householder" (likewise).

    The log-det is given as ``layout`` says: a number for each sample (B,) or (B, 1), one tensor, or one Python number.
    """

    def __init__(self, parts: str, A: Tensor, stretch: Tensor, order: Tensor, layout: str) -> None:
        super().__init__()
        self.parts, self.layout = parts, layout
        self.A, self.stretch = nn.Parameter(A), nn.Parameter(stretch)
        self.register_buffer("order", order)
        if layout == "number":  # which has no gradient, and so cannot be trained
            self.stretch.requires_grad_(False)

    def matrix(self) -> Tensor:
        strict = self.A.tril(-1) / len(self.A) ** 0.5
        if self.parts == "triangular":
            return strict + self.stretch.exp().diag()
        if self.parts == "LU":
            L, U = strict + torch.eye(len(self.A)).to(self.A), self.A.triu(1) / len(self.A) ** 0.5
            return (L @ (U + self.stretch.exp().diag()))[self.order]
        if self.parts == "exponential":
            return torch.linalg.matrix_exp(self.A - self.A.T)
        Q = torch.eye(len(self.A)).to(self.A)
        for v in self.A:
            Q = Q - 2 * torch.outer(Q @ v, v) / (v @ v)
        return Q

    def log_det(self, x: Tensor):
        value = self.stretch.sum() if self.parts in ("triangular", "LU") else 0 * self.stretch.sum()
        shapes = {"(B,)": (len(x),), "(B, 1)": (len(x), 1), "tensor": ()}
        return value.item() if self.layout == "number" else value.expand(shapes[self.layout])

    def forward(self, x: Tensor):
        return x @ self.matrix().T, self.log_det(x)

    def inverse(self, y: Tensor):
        return torch.linalg.solve(self.matrix(), y.T).T, -self.log_det(y)


class Moved(nn.Module):
    """The dimensions in another order: log-det 0."""

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor):
        return x[:, self.order], 0.0

    def inverse(self, y: Tensor):
        return y[:, self.order.argsort()], 0.0


class ActNorm(nn.Module):
    """y = exp(a) x + b for each channel of (B, C, ...): every place of a channel counts in the log-det."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def spread(self, values: Tensor, x: Tensor) -> Tensor:
        return values.reshape(-1, *[1] * (x.dim() - 2))

    def forward(self, x: Tensor):
        places = x[0, 0].numel()
        y = x * self.spread(self.a.exp(), x) + self.spread(self.b, x)
        return y, places * self.a.sum() * x.new_ones(len(x))

    def inverse(self, y: Tensor):
        return (y - self.spread(self.b, y)) * self.spread((-self.a).exp(), y)


class Conv1x1(nn.Module):
    """A matrix across the channels of (B, C, H, W), the same at every place."""

    def __init__(self, A: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(A)

    def forward(self, x: Tensor):
        log_det = torch.linalg.slogdet(self.A).logabsdet * x[0, 0].numel()
        return torch.einsum("ij,bjhw->bihw", self.A, x), log_det.expand(len(x))

    def inverse(self, y: Tensor):
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(self.A), y)


def net(sizes: list[int], normal: Callable[..., Tensor], activation: nn.Module) -> nn.Sequential:
    """Linear layers with weights and biases that are ``normal``, and the activation between them."""
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layers += [activation] * bool(layers) + [nn.Linear(n, m)]
        layers[-1].weight.data, layers[-1].bias.data = normal(m, n) / n**0.5, normal(m)
    return nn.Sequential(*layers)


class Coupling(nn.Module):
    """Dimensions under the mask pass; ``through`` maps each of the others, by parameters that a net makes of those.

    ``through``: (z (B, n), parameters (B, n, k)) -> (y, derivative), and with ``back=True`` y -> z.
    """

    def __init__(self, mask: Tensor, normal: Callable, through: Callable, k: int, activation: nn.Module) -> None:
        super().__init__()
        self.through, self.k = through, k
        self.register_buffer("kept", mask.nonzero().flatten())
        self.register_buffer("changed", (~mask).nonzero().flatten())
        self.net = net([len(self.kept), 8, len(self.changed) * k], normal, activation)

    def _run(self, x: Tensor, back: bool):
        parameters = self.net(x[:, self.kept]).unflatten(1, (len(self.changed), self.k))
        z, slope = self.through(x[:, self.changed], parameters, back=back)
        return x.index_copy(1, self.changed, z), slope.log().sum(1)

    def forward(self, x: Tensor):
        return self._run(x, False)

    def inverse(self, y: Tensor):
        x, log_det = self._run(y, True)
        return x, -log_det


def affine(z: Tensor, parameters: Tensor, back: bool = False) -> tuple[Tensor, Tensor]:
    s, t = 2 * torch.tanh(parameters[..., 0]), parameters[..., 1]
    return ((z - t) * (-s).exp() if back else z * s.exp() + t), s.exp()


def spline(z: Tensor, parameters: Tensor, back: bool = False) -> tuple[Tensor, Tensor]:
    """The monotone rational-quadratic spline on [-3, 3] (Durkan et al. 2019, equations 4 to 8), the identity outside.

    Parameters (..., 3 K - 1): widths, heights, and the slopes at the inner knots; the slope at the ends is 1.
    """
    K = (parameters.shape[-1] + 1) // 3
    ends = []
    for part in (parameters[..., :K], parameters[..., K : 2 * K]):
        # No bin narrower than a twentieth of the mean.
        share = 0.05 / K + 0.95 * part.softmax(-1)
        ends.append(torch.cat([torch.zeros_like(share[..., :1]), share.cumsum(-1)], -1) * 6 - 3)
    xs, ys = ends
    inner = 0.05 + nn.functional.softplus(parameters[..., 2 * K :])
    slopes = torch.cat([torch.ones_like(inner[..., :1]), inner, torch.ones_like(inner[..., :1])], -1)
    inside = z.abs() < 3
    at = z.where(inside, torch.zeros_like(z))
    bin = ((at[..., None] >= (ys if back else xs)[..., 1:-1]).sum(-1, keepdim=True)).clamp(max=K - 1)
    x0, x1, y0, y1, d0, d1 = (
        v.gather(-1, bin + o)[..., 0] for v, o in ((xs, 0), (xs, 1), (ys, 0), (ys, 1), (slopes, 0), (slopes, 1))
    )
    s = (y1 - y0) / (x1 - x0)
    bend = d0 + d1 - 2 * s
    if back:
        a = (y1 - y0) * (s - d0) + (at - y0) * bend
        b = (y1 - y0) * d0 - (at - y0) * bend
        c = -s * (at - y0)
        u = 2 * c / (-b - (b * b - 4 * a * c).sqrt())
    else:
        u = (at - x0) / (x1 - x0)
    mixed = s + bend * u * (1 - u)
    out = x0 + u * (x1 - x0) if back else y0 + (y1 - y0) * (s * u * u + d0 * u * (1 - u)) / mixed
    slope = s * s * (d1 * u * u + 2 * s * u * (1 - u) + d0 * (1 - u) ** 2) / mixed**2
    return out.where(inside, z), slope.where(inside, torch.ones_like(slope))


class Spline(nn.Module):
    """A spline for each dimension."""

    def __init__(self, knots: Tensor) -> None:
        super().__init__()
        self.knots = nn.Parameter(knots)

    def forward(self, x: Tensor):
        y, slope = spline(x, self.knots.expand(len(x), -1, -1))
        return y, slope.log().sum(1, keepdim=True)

    def inverse(self, y: Tensor):
        return spline(y, self.knots.expand(len(y), -1, -1), back=True)[0]
