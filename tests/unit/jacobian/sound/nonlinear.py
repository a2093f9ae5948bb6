"""Sound layers in plain form, whose log-det or inverse takes more than a line; and functions of x with theirs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = [
    "Autoregressive",
    "Cubic",
    "CubicByHand",
    "InTurn",
    "LogisticMixture",
    "Residual",
    "Sylvester",
    "henon",
    "radial",
    "sinh_arcsinh",
    "swirl",
]


def bisect(f: Callable[[Tensor], Tensor], y: Tensor, low: float, high: float) -> Tensor:
    """x with f(x) = y, for f increasing in each entry, to the last digit of y's dtype."""
    low, high = torch.full_like(y, low), torch.full_like(y, high)
    for _ in range(200):
        middle = (low + high) / 2
        below = f(middle) < y
        if middle.equal(low.where(below, high)):
            break
        low, high = middle.where(below, low), high.where(below, middle)
    return middle


class Cubic(nn.Module):
    """y = x + (a x)^3 with a > 0, dimension by dimension, inverted by halving."""

    def __init__(self, log_a: Tensor) -> None:
        super().__init__()
        self.log_a = nn.Parameter(log_a)

    def map(self, x: Tensor) -> Tensor:
        return x + (self.log_a.exp() * x) ** 3

    def forward(self, x: Tensor):
        return self.map(x), torch.log1p(3 * (3 * self.log_a).exp() * x**2).sum(1)

    def inverse(self, y: Tensor):
        return bisect(self.map, y, -1e3, 1e3)


class _CubicFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x + x**3 / 3

    @staticmethod
    def backward(ctx, back):
        (x,) = ctx.saved_tensors
        return back * (1 + x * x)


class CubicByHand(nn.Module):
    """y = x + x^3 / 3 with a backward pass of its own, right; it has neither a forward mode nor a batched one."""

    def forward(self, x: Tensor):
        return _CubicFunction.apply(x), torch.log1p(x * x).sum(1)

    def inverse(self, y: Tensor):
        return bisect(lambda x: x + x**3 / 3, y, -1e3, 1e3)


class LogisticMixture(nn.Module):
    """y = logit of the distribution function of a mixture of logistics, dimension by dimension (as in Flow++)."""

    def __init__(self, shares: Tensor, means: Tensor, log_widths: Tensor) -> None:
        super().__init__()
        self.shares, self.means, self.log_widths = map(nn.Parameter, (shares, means, log_widths))

    def logs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log F, log (1 - F), log F' (B, D)."""
        z = (x[..., None] - self.means) * (-self.log_widths).exp()
        share = self.shares.log_softmax(-1)
        up, down = nn.functional.logsigmoid(z), nn.functional.logsigmoid(-z)
        return tuple((share + part).logsumexp(-1) for part in (up, down, up + down - self.log_widths))

    def map(self, x: Tensor) -> Tensor:
        up, down, _ = self.logs(x)
        return up - down

    def forward(self, x: Tensor):
        up, down, density = self.logs(x)
        return up - down, (density - up - down).sum(1)

    def inverse(self, y: Tensor):
        return bisect(self.map, y, -1e4, 1e4)


class Autoregressive(nn.Module):
    """y_i = x_i exp(s_i) + t_i, with s and t of the inputs that come before i in the order: a masked network (MADE)."""

    def __init__(self, order: Tensor, normal: Callable[..., Tensor]) -> None:
        super().__init__()
        D, width = len(order), 12
        place = order.argsort() + 1
        degree = torch.arange(width) % max(D - 1, 1) + 1
        self.register_buffer("order", order)
        self.register_buffer("mask_in", 1.0 * (degree[:, None] >= place))
        self.register_buffer("mask_out", (1.0 * (place[:, None] > degree)).repeat(2, 1))
        self.w, self.b = nn.Parameter(normal(width, D) / D**0.5), nn.Parameter(normal(width))
        self.v, self.c = nn.Parameter(normal(2 * D, width) / width**0.5), nn.Parameter(normal(2 * D))

    def conditioner(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = nn.functional.silu(x @ (self.w * self.mask_in).T + self.b)
        s, t = (hidden @ (self.v * self.mask_out).T + self.c).chunk(2, 1)
        return torch.tanh(s), t

    def forward(self, x: Tensor):
        s, t = self.conditioner(x)
        return x * s.exp() + t, s.sum(1)

    def inverse(self, y: Tensor):
        x = torch.zeros_like(y)
        for i in self.order:
            s, t = self.conditioner(x)
            x = x.index_copy(1, i[None], ((y - t) * (-s).exp())[:, i, None])
        return x, -self.conditioner(x)[0].sum(1)


class Residual(nn.Module):
    """y = x + V tanh(W x + b) with ||V|| ||W|| = 0.8; its log-det from the explicit Jacobian, its inverse iterated."""

    def __init__(self, W: Tensor, V: Tensor, b: Tensor) -> None:
        super().__init__()
        self.W, self.V, self.b = nn.Parameter(W), nn.Parameter(V), nn.Parameter(b)

    def weights(self) -> tuple[Tensor, Tensor]:
        return self.W / torch.linalg.matrix_norm(self.W, 2), 0.8 * self.V / torch.linalg.matrix_norm(self.V, 2)

    def forward(self, x: Tensor):
        W, V = self.weights()
        h = torch.tanh(x @ W.T + self.b)
        J = torch.eye(x.shape[1]).to(x) + V @ ((1 - h * h)[:, :, None] * W)
        return x + h @ V.T, torch.linalg.slogdet(J).logabsdet

    def inverse(self, y: Tensor):
        W, V = self.weights()
        x = y
        for _ in range(160):  # 0.8^160 is less than float64's rounding
            x = y - torch.tanh(x @ W.T + self.b) @ V.T
        return x


class Sylvester(nn.Module):
    """y = x + Q R tanh(S Q' x + b), R and S triangular with r_i s_i > -1 (van den Berg et al. 2018, equation 13)."""

    def __init__(self, Q: Tensor, R: Tensor, S: Tensor, b: Tensor) -> None:
        super().__init__()
        self.Q, self.R, self.S, self.b = map(nn.Parameter, (Q, R, S, b))

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        Q, _ = torch.linalg.qr(self.Q)
        R, S = self.R.triu(1) + self.R.diag().tanh().diag(), self.S.triu(1) + 0.9 * self.S.diag().tanh().diag()
        return Q, R, S

    def forward(self, x: Tensor):
        Q, R, S = self.parts()
        h = torch.tanh(x @ Q @ S.T + self.b)
        return x + h @ R.T @ Q.T, torch.log1p((1 - h * h) * R.diag() * S.diag()).sum(1, keepdim=True)


class InTurn(nn.Module):
    """Modules that return (y, log_det), one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor):
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + (log_det.reshape(-1) if isinstance(log_det, Tensor) else log_det)
        return x, total

    def inverse(self, y: Tensor):
        for layer in reversed(self.layers):
            back = layer.inverse(y)
            y = back[0] if isinstance(back, tuple) else back
        return y


def radial(centre: Tensor, alpha: Tensor, beta: Tensor) -> tuple[Callable, Callable]:
    """x + b h (x - c), h = 1 / (alpha + r) and b > -alpha (Rezende & Mohamed 2015, equation 14), and its log-det."""
    D, strength = len(centre), nn.functional.softplus(beta) - alpha

    def f(x: Tensor) -> Tensor:
        away = x - centre
        return x + strength * away / (alpha + away.norm(dim=-1, keepdim=True))

    def log_det(x: Tensor) -> Tensor:
        r = (x - centre).norm(dim=-1)
        return (D - 1) * torch.log1p(strength / (alpha + r)) + torch.log1p(strength * alpha / (alpha + r) ** 2)

    return f, log_det


def sinh_arcsinh(shift: Tensor, power: Tensor) -> tuple[Callable, Callable, Callable]:
    """sinh(power (asinh(x) + shift)), its log-det and its inverse (Jones & Pewsey 2009)."""

    def f(x: Tensor) -> Tensor:
        return torch.sinh(power * (torch.asinh(x) + shift))

    def log_det(x: Tensor) -> Tensor:
        inside = power * (torch.asinh(x) + shift)
        return (power.log() + inside.cosh().log() - torch.log1p(x * x) / 2).sum(-1)

    return f, log_det, lambda y: torch.sinh(torch.asinh(y) / power - shift)


def swirl(speed: Tensor) -> tuple[Callable, Callable]:
    """Turns the first two coordinates by an angle that grows with their distance from 0: log-det 0; and its inverse."""

    def turned(x: Tensor, way: int) -> Tensor:
        a, b = x[..., :1], x[..., 1:2]
        angle = way * speed * torch.log1p(a * a + b * b)
        c, s = angle.cos(), angle.sin()
        return torch.cat([c * a - s * b, s * a + c * b, x[..., 2:]], -1)

    return lambda x: turned(x, 1), lambda y: turned(y, -1)


def henon(a: float, b: float) -> tuple[Callable, Callable, Callable]:
    """Henon's map of single points (2,), its log-det (a Python number, the same everywhere) and its inverse."""

    def f(x: Tensor) -> Tensor:
        return torch.stack([1 - a * x[0] ** 2 + x[1], b * x[0]])

    def inverse(y: Tensor) -> Tensor:
        return torch.stack([y[1] / b, y[0] - 1 + a * (y[1] / b) ** 2])

    return f, lambda x: math.log(abs(b)), inverse
