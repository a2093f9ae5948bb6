"""Rational-quadratic splines: smooth, increasing curves through given knots, and coupling layers made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .checks import check_sizes
from .realnvp import MaskedFlow, mlp

__all__ = ["SplineCoupling", "rational_quadratic", "rational_quadratic_inverse", "spline_knots"]

# Of the knots that spline_knots makes: the least width and height of a bin, relative to the mean, and the least slope.
LEAST_BIN, LEAST_SLOPE = 0.01, 0.001


def rational_quadratic(x: Tensor, knots_x: Tensor, knots_y: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the increasing curve through K + 1 knots with given slopes there, and the logarithm of its derivative.

    Between two knots the curve is a quotient of two quadratics; outside of the outermost knots it is the straight line
    that continues it. The derivative is continuous everywhere. Elementwise, without a branch that depends on values.

    Args:
        x: (...), where to evaluate.
        knots_x, knots_y: (..., K + 1), the positions of the knots, both increasing in the last dimension.
        slopes: (..., K + 1), the derivative at each knot, positive. The shapes of all four broadcast.

    Returns:
        y (...) and log dy/dx (...).

    Raises:
        ValueError: if the last dimensions of the knots differ, or there are fewer than two knots.

    References:
        Neural Spline Flows (Durkan et al., 2019), equations 4 and 5, https://arxiv.org/abs/1906.04032;
        Piecewise rational quadratic interpolation to monotonic data (Gregory & Delbourgo, 1982)

    Example:
        >>> knots_x, knots_y = torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-1.0, 0.5, 1.0])
        >>> y, ladj = rational_quadratic(torch.tensor([-2.0, 0.0, 0.5]), knots_x, knots_y, torch.ones(3))
        >>> y
        tensor([-2.0000,  0.5000,  0.7500])
    """
    (x0, y0, d0), (x1, y1, d1) = _ends_of_bins(x, knots_x, knots_x, knots_y, slopes)
    below, inside = x < x0, (x0 <= x) & (x < x1)
    s = (y1 - y0) / (x1 - x0)
    xi = (torch.where(inside, x, x0) - x0) / (x1 - x0)
    # Equation 4.
    y = y0 + (y1 - y0) * (s * xi**2 + d0 * xi * (1 - xi)) / (s + (d1 + d0 - 2 * s) * xi * (1 - xi))
    x_end, y_end, d = (torch.where(below, *ends) for ends in ((x0, x1), (y0, y1), (d0, d1)))
    line = d * x + (y_end - d * x_end)  # in this order the line with d = 1, y_end = x_end is exactly x
    return torch.where(inside, y, line), torch.where(inside, _log_slope(xi, s, d0, d1), torch.log(d))


def rational_quadratic_inverse(y: Tensor, knots_x: Tensor, knots_y: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the inverse of :func:`rational_quadratic` in closed form, and the logarithm of the inverse's derivative.

    Args:
        y: (...), where to evaluate.
        knots_x, knots_y, slopes: (..., K + 1), as for :func:`rational_quadratic`.

    Returns:
        x (...) and log dx/dy (...).

    Raises:
        ValueError: if the last dimensions of the knots differ, or there are fewer than two knots.

    References:
        Neural Spline Flows (Durkan et al., 2019), equations 6 to 8, https://arxiv.org/abs/1906.04032
    """
    (x0, y0, d0), (x1, y1, d1) = _ends_of_bins(y, knots_y, knots_x, knots_y, slopes)
    below, inside = y < y0, (y0 <= y) & (y < y1)
    s = (y1 - y0) / (x1 - x0)
    # Equations 6 to 8 divided by (y1 - y0) s, with v in [0, 1]: a = 1 - b, b = e + 2 v, c = -v. So b^2 - 4 a c is
    # e^2 + 4 v (1 - v), and both forms of the root are quotients of positive sums: no digits cancel.
    v = (torch.where(inside, y, y0) - y0) / (y1 - y0)
    e = (d0 * (1 - v) - d1 * v) / s
    root = torch.sqrt(e**2 + 4 * v * (1 - v))
    xi = torch.where(e > 0, 2 * v / (2 * v + root + e), (root - e) / (root - e + 2 * (1 - v)))
    x_end, y_end, d = (torch.where(below, *ends) for ends in ((x0, x1), (y0, y1), (d0, d1)))
    line = y / d + (x_end - y_end / d)
    return torch.where(inside, x0 + (x1 - x0) * xi, line), -torch.where(inside, _log_slope(xi, s, d0, d1), torch.log(d))


def spline_knots(widths: Tensor, heights: Tensor, slopes: Tensor, bound: float) -> tuple[Tensor, Tensor, Tensor]:
    """Turn unconstrained parameters into knots from (-bound, -bound) to (bound, bound), with slope 1 at both ends.

    The curve through these knots is the identity outside of [-bound, bound], and everywhere if all parameters are 0.

    Args:
        widths, heights: (..., K); a softmax gives the shares of the K bins. None is below a hundredth of the mean.
        slopes: (..., K - 1); a softplus gives the slopes at the inner knots. None is below a thousandth.
        bound: the position of the last knot, a positive number.

    Returns:
        knots_x, knots_y and slopes, each (..., K + 1), for :func:`rational_quadratic`.

    References:
        Neural Spline Flows (Durkan et al., 2019), section 3.1, https://arxiv.org/abs/1906.04032

    Example:
        >>> knots_x, knots_y, slopes = spline_knots(torch.zeros(4), torch.tensor([2.0, 0, 0, 0]), torch.zeros(3), 2.0)
        >>> knots_x
        tensor([-2., -1.,  0.,  1.,  2.])
        >>> knots_y
        tensor([-2.0000,  0.8265,  1.2177,  1.6088,  2.0000])
    """
    knots_x, knots_y = (_positions(sizes, bound) for sizes in (widths, heights))
    inner = LEAST_SLOPE + softplus(slopes + math.log(math.expm1(1 - LEAST_SLOPE)))
    one = torch.ones_like(knots_x[..., :1])
    return knots_x, knots_y, torch.cat([one, inner, one], dim=-1)


class SplineCoupling(MaskedFlow):
    r"""A coupling layer with splines: some dimensions pass unchanged, and determine a curve for each of the rest.

    With x_A the dimensions that the mask passes and x_B the rest,

        y_A = x_A,    y_i = g_i(x_i)  for i in B,

    where g_i is the increasing rational-quadratic spline through K + 1 knots that a network computes from x_A. It is
    the identity outside of [-bound, bound]. :class:`AffineCoupling` scales and shifts; a spline also bends, so that one
    layer can split a mode in two. The inverse has a closed form, too.

    The Jacobian has an identity block for x_A, and y_i depends on x_i and x_A alone, so the determinant is the product
    of the slopes g_i'(x_i). ``inspect_jacobian`` names this structure ``coupling``; that of a new layer, which is the
    identity until it is trained, ``identity``.

    Args:
        mask: (D,) boolean, True = passes through unchanged. At least one True and one False.
        hidden: the widths of the hidden layers (SiLU) of the network that computes the knots; its last starts at 0.
        bins: K, the number of pieces between -bound and bound.
        bound: the splines are the identity outside of [-bound, bound].
        conditioner: a module in place of that network: x_A (..., d) -> (..., (D - d) (3 K - 1)), for each dimension K
            widths, K heights and K - 1 slopes before :func:`spline_knots`.

    Raises:
        ValueError: if ``mask`` is not a boolean vector, or passes everything or nothing; if ``bins`` is below 1 or
            ``bound`` is not a positive number.

    References:
        Neural Spline Flows (Durkan et al., 2019), sections 3.1 and 3.2, https://arxiv.org/abs/1906.04032

    Example:
        >>> layer = SplineCoupling(torch.tensor([True, False, True]))
        >>> x = torch.randn(5, 3)
        >>> y, ladj = layer.call_and_ladj(x)
        >>> torch.equal(y[:, 0], x[:, 0]), ladj.shape
        (True, torch.Size([5]))
    """

    formula = r"\log|\det J| = \sum_{i \in B} \log g_i'(x_i), \quad g_i \text{ through the knots given by } x_A"

    def __init__(
        self,
        mask: Tensor | Sequence[bool],
        hidden: Sequence[int] = (64, 64),
        bins: int = 8,
        bound: float = 3.0,
        *,
        conditioner: nn.Module | None = None,
    ) -> None:
        super().__init__(mask)
        check_sizes(bins=bins)
        if not 0 < bound < math.inf:
            raise ValueError(f"bound must be a positive number, but is {bound!r}")
        self.bins, self.bound = bins, float(bound)
        if conditioner is None:
            conditioner = mlp(len(self.kept), hidden, len(self.changed) * (3 * bins - 1), nn.SiLU)
            nn.init.zeros_(conditioner[-1].weight)
            nn.init.zeros_(conditioner[-1].bias)
        self.conditioner = conditioner

    def extra_repr(self) -> str:
        return f"mask={self.mask.int().tolist()}, bins={self.bins}, bound={self.bound:g}"

    def knots(self, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the knots' x, their y and the slopes there, each (..., D - d, K + 1), from x_A (..., d)."""
        raw = self.conditioner(kept).unflatten(-1, (len(self.changed), 3 * self.bins - 1))
        return spline_knots(*raw.split([self.bins, self.bins, self.bins - 1], dim=-1), self.bound)

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x_a, x_b = self.split(self.check_input(x))
        y_b, log_slope = rational_quadratic(x_b, *self.knots(x_a))
        return self.join(x_a, y_b), log_slope.sum(-1)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y_a, y_b = self.split(self.check_input(y))
        x_b, log_slope = rational_quadratic_inverse(y_b, *self.knots(y_a))
        return self.join(y_a, x_b), log_slope.sum(-1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        x_a, x_b = self.split(self.check_input(x))
        knots_x, knots_y, slopes = self.knots(x_a)
        y_b, log_slope = rational_quadratic(x_b, knots_x, knots_y, slopes)
        return {
            "x_A": x_a,
            "x_B": x_b,
            "y_B": y_b,
            "g'(x_B)": log_slope.exp(),
            "det = prod g'": log_slope.sum(-1).exp(),
            "log|det J|": log_slope.sum(-1),
        }


def _ends_of_bins(at: Tensor, by: Tensor, *knots: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the values of ``knots`` (..., K + 1) at the left and the right end of each bin of ``at`` (...).

    The bins are those between the knots ``by``. The outermost ones go on to infinity.
    """
    if len({each.shape[-1:] for each in knots}) > 1 or by.shape[-1:] < (2,):
        shapes = ", ".join(str(tuple(each.shape)) for each in knots)
        raise ValueError(f"knots_x, knots_y and slopes must be (..., K + 1) with K at least 1, but are {shapes}")
    shape = torch.broadcast_shapes(at.shape, *(each.shape[:-1] for each in knots))
    left = (at[..., None] >= by[..., 1:-1]).sum(-1, keepdim=True).expand(*shape, 1)
    wide = [each.expand(*shape, each.shape[-1]) for each in knots]
    return tuple([each.gather(-1, index).squeeze(-1) for each in wide] for index in (left, left + 1))


def _log_slope(xi: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    """Compute the logarithm of the derivative at the share xi of a bin of slope s, elementwise: equation 5."""
    numerator = d1 * xi**2 + 2 * s * xi * (1 - xi) + d0 * (1 - xi) ** 2
    return 2 * torch.log(s) + torch.log(numerator) - 2 * torch.log(s + (d1 + d0 - 2 * s) * xi * (1 - xi))


def _positions(sizes: Tensor, bound: float) -> Tensor:
    """Return knots (..., K + 1) from -bound to bound, exactly, for the unconstrained sizes (..., K) of the bins."""
    shares = LEAST_BIN / sizes.shape[-1] + (1 - LEAST_BIN) * sizes.softmax(-1)
    end = torch.full_like(shares[..., :1], bound)
    return torch.cat([-end, bound * (2 * shares.cumsum(-1)[..., :-1] - 1), end], dim=-1)
