"""Planar flows: maps that move points along one direction, by an amount that depends on one scalar."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from .checks import check_sizes
from .flow import Flow, Stack
from .roots import increasing_root

__all__ = [
    "ACTIVATIONS",
    "Planar",
    "PlanarStacks",
    "leaky_relu_and_slope",
    "one_plus_m",
    "tanh_and_slope",
    "u_hat",
]


def tanh_and_slope(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return h(a) = tanh(a) and h'(a) = 1 - tanh(a)^2, elementwise."""
    h = torch.tanh(a)
    return h, 1 - h * h


def leaky_relu_and_slope(a: Tensor) -> tuple[Tensor, Tensor]:
    """Return h(a) = max(a, 0.01 a) and its slope, 1 above zero and 0.01 below, elementwise."""
    one = torch.ones_like(a)
    return leaky_relu(a, 0.01), torch.where(a > 0, one, 0.01 * one)


ACTIVATIONS = {"tanh": tanh_and_slope, "leaky_relu": leaky_relu_and_slope}
"""The choices of h by name: increasing functions with slopes in (0, 1], for which w.u > -1 makes the map invertible."""


def one_plus_m(a: Tensor) -> Tensor:
    """Return 1 + m(a) = log(1 + e^a) of appendix A.1, elementwise, bounded below by the rounding error of 1."""
    return softplus(a) + 4 * torch.finfo(a.dtype).eps


def u_hat(u: Tensor, w: Tensor) -> Tensor:
    """Move u along w to u_hat with w.u_hat = m(w.u) > -1, where m(a) = -1 + log(1 + e^a).

    Args:
        u, w: vectors (D,).

    Returns:
        u_hat (D,) = u + (m(w.u) - w.u) w / ||w||^2, with the *squared* norm; u where w = 0.

    References:
        Rezende & Mohamed (2015), appendix A.1, https://arxiv.org/abs/1505.05770
    """
    return u_hat_and_one_plus_wu(u, w)[0]


def u_hat_and_one_plus_wu(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Return u_hat (D,) and 1 + w.u_hat () for u, w (D,), the latter without the rounding error of a dot product."""
    wu, squared_norm = w @ u, w @ w
    raised, still = one_plus_m(wu), squared_norm == 0
    step = (raised - 1 - wu) / (squared_norm + still)  # the denominator is 1 where w = 0, so that u_hat is u
    return u + step * w, torch.where(still, torch.ones_like(wu), raised)


class Planar(Flow):
    r"""A planar flow: f(z) = z + u h(w.z + b).

    Every point moves along the direction u, by a distance that is constant on each plane w.z + b = const.
    With psi(z) = h'(w.z + b) w the Jacobian is I + u psi(z)^T, the identity plus a matrix of rank one, and the matrix
    determinant lemma gives its determinant, 1 + u.psi(z), in O(D).

    The map is invertible if w.u > -1 (for both choices of h). The parameter ``u`` is unconstrained: the map uses u_hat,
    which satisfies the condition. The further w.u is below -1, the closer the map comes to a fold and the worse its
    condition number. The inverse has no closed form, but a single unknown: alpha = w.z solves
    alpha + (w.u) h(alpha + b) = w.y, which is increasing in alpha, and z = y - u h(alpha + b). A bracketed Newton
    iteration finds alpha, with gradients, so a planar flow can also be trained by maximum likelihood.

    Args:
        dim: D, the number of dimensions.
        activation: h, ``"tanh"`` (the paper's) or ``"leaky_relu"``.
        constrained: whether the map uses u_hat. If False it uses ``u``, as in equation 10, and folds space if w.u < -1.

    Raises:
        ValueError: if ``dim`` is below 1 or ``activation`` unknown; if the inverse is called and the map has none.

    References:
        Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015), equations 10 to 12 and appendix A.1,
        https://arxiv.org/abs/1505.05770

    Example:
        >>> planar = Planar(3)
        >>> f, ladj = planar.call_and_ladj(torch.zeros(5, 3))
        >>> f.shape, ladj.shape
        (torch.Size([5, 3]), torch.Size([5]))
        >>> z = torch.tensor([0.5, -1.0, 2.0])
        >>> torch.allclose(planar.inv(planar(z)), z, atol=1e-6)
        True
    """

    formula = r"\log|\det J| = \log|1 + \hat u^\top \psi(z)|, \quad \psi(z) = h'(w^\top z + b)\, w"

    def __init__(self, dim: int, activation: str = "tanh", *, constrained: bool = True) -> None:
        check_sizes(dim=dim)
        super().__init__(dim)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, but is {activation!r}")
        self.activation = activation
        self.constrained = constrained
        bound = 1 / math.sqrt(dim)
        self.u = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))
        self.w = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(()))

    def extra_repr(self) -> str:
        return f"{self.dim}, activation={self.activation!r}" + ("" if self.constrained else ", constrained=False")

    def u_hat(self) -> Tensor:
        """Return the direction (D,) that the map uses: u_hat of appendix A.1, or u if not ``constrained``."""
        return self._direction()[0]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.check_input(x)
        h, slope = ACTIVATIONS[self.activation](z @ self.w + self.b)
        u, one_plus_wu = self._direction()
        return z + u * h[..., None], _log_det(slope, one_plus_wu)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self.check_input(y)
        u, one_plus_wu = self._direction()
        wu = one_plus_wu - 1
        if not self.constrained and bool(wu < -1):
            raise ValueError(f"w.u must be at least -1, or the map folds and has no inverse, but is {wu.item():.4g}")
        wy = y @ self.w
        activation = ACTIVATIONS[self.activation]

        def value_and_slope(alpha: Tensor) -> tuple[Tensor, Tensor]:
            h, slope = activation(alpha + self.b)
            return alpha + wu * h - wy, 1 + wu * slope

        low, high = self._bracket(wy, wu)
        alpha = increasing_root(value_and_slope, low, high)
        h, slope = activation(alpha + self.b)
        return y - u * h[..., None], -_log_det(slope, one_plus_wu)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        z = self.check_input(x)
        _, slope = ACTIVATIONS[self.activation](z @ self.w + self.b)
        psi = slope[..., None] * self.w
        u, one_plus_wu = self._direction()
        return {
            "w.z + b": z @ self.w + self.b,
            "h'(w.z + b)": slope,
            "psi": psi,
            "u_hat": u,
            "w.u_hat": self.w @ u,
            "det = 1 + u_hat.psi": 1 + psi @ u,
            "log|det J|": _log_det(slope, one_plus_wu),
        }

    def _direction(self) -> tuple[Tensor, Tensor]:
        """Return the direction u (D,) that the map uses, and 1 + w.u ()."""
        return u_hat_and_one_plus_wu(self.u, self.w) if self.constrained else (self.u, 1 + self.w @ self.u)

    def _bracket(self, wy: Tensor, wu: Tensor) -> tuple[Tensor, Tensor]:
        """Return bounds of alpha, the root of alpha + wu h(alpha + b) = wy."""
        if self.activation == "tanh":  # |h| < 1
            return wy - wu.abs(), wy + wu.abs()
        # Leaky ReLU consists of two lines, of slopes 0.01 and 1; the root lies between the roots of these lines.
        steep, flat = ((wy - slope * wu * self.b) / (1 + slope * wu) for slope in (1.0, 0.01))
        return torch.minimum(steep, flat), torch.maximum(steep, flat)


class PlanarStacks(nn.Module):
    """Several stacks of planar layers with h = tanh, evaluated side by side, which is faster than one after the other.

    ``stacks[k]`` is a copy of the k-th one as a :class:`~nfteach.Stack` of :class:`Planar` layers, with an inverse.

    Args:
        count: the number of stacks.
        layers: K, the number of layers of each stack.
        dim: D, the number of dimensions.

    Example:
        >>> stacks = PlanarStacks(4, layers=8, dim=2)
        >>> x, ladj = stacks(torch.zeros(4, 100, 2))
        >>> x.shape, ladj.shape, len(stacks[3])
        (torch.Size([4, 100, 2]), torch.Size([4, 100]), 8)
    """

    def __init__(self, count: int, layers: int, dim: int) -> None:
        check_sizes(count=count, layers=layers, dim=dim)
        super().__init__()
        bound = 1 / math.sqrt(dim)
        self.w = nn.Parameter(torch.empty(layers, count, dim, 1).uniform_(-bound, bound))
        self.u = nn.Parameter(torch.empty(layers, count, 1, dim).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(layers, count, 1, 1))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (count, B, D) and log|det J| (count, B) at z (count, B, D), one batch for each stack."""
        wu = self.u @ self.w
        raised = one_plus_m(wu)
        u_hat = self.u + (raised - 1 - wu) * self.w.mT / (self.w**2).sum(2, keepdim=True)
        h = []
        for w, u, b in zip(self.w, u_hat, self.b, strict=True):
            h.append(torch.tanh(z @ w + b))
            z = z + h[-1] * u
        return z, _log_det(1 - torch.stack(h) ** 2, raised).sum(0)[..., 0]

    def __getitem__(self, k: int) -> Stack:
        layers = [Planar(self.w.shape[2]).to(self.w) for _ in self.w]
        with torch.no_grad():
            for layer, w, u, b in zip(layers, self.w[:, k], self.u[:, k], self.b[:, k], strict=True):
                layer.w.copy_(w.flatten())
                layer.u.copy_(u.flatten())
                layer.b.copy_(b.squeeze())
        return Stack(*layers)


def _log_det(slope: Tensor, one_plus_wu: Tensor) -> Tensor:
    """Compute log|1 + u.psi| = log|1 + h' w.u|, elementwise, for the slopes h'."""
    # (1 - h') + h' (1 + w.u) is a sum of positive terms for u_hat, accurate also where the map nearly folds.
    return torch.log(torch.abs((1 - slope) + slope * one_plus_wu))
