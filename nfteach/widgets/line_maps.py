"""Increasing and decreasing maps of the line: the family that the 1-D explorer's sliders move, and any other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform

from nfteach.flows.roots import increasing_root
from nfteach.jacobian import AnyMap

__all__ = ["Bent", "GivenLine", "bend"]


def bend(z: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return an increasing map that keeps -1, 0 and 1 where they are, and its slope, elementwise.

    For beta > 0 it is asinh(z sinh beta) / beta: steep in the middle, flat outside. For beta < 0 it is
    sinh(\|beta\| z) / sinh \|beta\|: the other way round. Bending by -beta undoes bending by beta.
    """
    size = beta.abs().clamp_min(1e-6)  # there the identity, to within the square of it
    s = torch.sinh(size)
    steep = torch.asinh(s * z) / size, s / size / torch.sqrt(1 + (s * z) ** 2)
    flat = torch.sinh(size * z) / s, size / s * torch.cosh(size * z)
    return torch.where(beta < 0, flat[0], steep[0]), torch.where(beta < 0, flat[1], steep[1])


class Bent(Transform):
    r"""x = shift + stretch (at + bend(z - at)), or its mirror image x = shift - stretch (at + bend(z - at)).

    Everything is in closed form: the map, its slope, the inverse and the inverse's slope.

    Args:
        stretch: a positive number.
        shift: a number.
        beta: how far it is bent, see :func:`bend`; 0 for a straight line.
        at: the point of z about which it is bent.
        mirror: whether the map decreases.
        centre, spread: z and x are both counted from ``centre`` in units of ``spread``.

    Example:
        >>> f = Bent(stretch=2.0, shift=1.0)
        >>> f(torch.tensor([0.0, 1.0]))
        tensor([1., 3.])
        >>> f.slope(torch.tensor([0.0, 1.0]))
        tensor([2., 2.])
    """

    domain = codomain = constraints.real
    bijective = True

    def __init__(
        self,
        stretch: float | Tensor = 1.0,
        shift: float | Tensor = 0.0,
        beta: float | Tensor = 0.0,
        at: float | Tensor = 0.0,
        mirror: bool = False,
        *,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        self.factor = -stretch if mirror else stretch
        self.shift, self.at, self.centre, self.spread = shift, at, centre, spread
        self.beta = torch.as_tensor(beta, dtype=torch.float64)

    def _call(self, z: Tensor) -> Tensor:
        return self.there(z)[0]

    def _inverse(self, x: Tensor) -> Tensor:
        return self.back(x)[0]

    def slope(self, z: Tensor) -> Tensor:
        """Return dx/dz at z, with its sign."""
        return self.there(z)[1]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.slope(x).abs().log()

    def there(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (n,) and dx/dz (n,), at z (n,)."""
        bent, slope = bend((z - self.centre) / self.spread - self.at, self.beta)
        return self.centre + self.spread * (self.shift + self.factor * (self.at + bent)), self.factor * slope

    def back(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (n,) and log|dz/dx| (n,) in nats, at x (n,): bending back is the slope of the inverse."""
        bent, slope = bend(((x - self.centre) / self.spread - self.shift) / self.factor - self.at, -self.beta)
        return self.centre + self.spread * (self.at + bent), (slope / self.factor).abs().log()


class GivenLine:
    """A map of the line that a reader hands in, as ``there`` and ``back``.

    Its slope is found by autograd. On the way back the log-det is what the map says of itself, as in
    ``TransformedDistribution``; so a map that says it wrongly is found out. A map without an inverse is inverted by a
    bracketed root-finder, and one that says nothing of its log-det is taken at its slope.

    Args:
        transform: what :class:`~nfteach.jacobian.AnyMap` takes, for numbers or for vectors of one.
        nodes: (n,), points that cover nearly all the mass, in order.

    Raises:
        ValueError: if the map can't be called, or is not increasing or decreasing all along the nodes.
    """

    def __init__(self, transform: Any, nodes: Tensor) -> None:
        name = type(transform).__name__
        if not callable(transform):
            raise ValueError(f"transform must be a Transform or a function, but is a {name}")
        event_dim = transform.domain.event_dim if isinstance(transform, Transform) else 0
        shape = tuple(getattr(transform, "event_shape", (1,)))
        if event_dim > 1 or shape != (1,):
            came = f"points of shape {shape}" if shape != (1,) else f"events of {event_dim} dimensions"
            raise ValueError(f"transform must map one number to one number, but {name} takes {came}")
        self._nodes = nodes
        tried = nodes[torch.linspace(0, len(nodes) - 1, 9).round().long()][2:-2, None]
        self.map = AnyMap(transform, dim=1, points=tried)
        x, slope = self.there(nodes)
        bad = ~(x.isfinite() & slope.isfinite())
        if bad.any():
            where = nodes[bad][len(nodes[bad]) // 2]
            raise ValueError(f"transform must be finite wherever base has mass, but is not, as at z = {where:.4g}")
        if not slope.any():
            raise ValueError("transform must increase or decrease, but its slope is 0 wherever base has mass")
        if not ((slope >= 0).all() or (slope <= 0).all()):
            turn = nodes[1:][slope.sign().diff() != 0][0]
            raise ValueError(
                f"transform must increase all the way or decrease all the way, but its slope changes sign near "
                f"z = {turn:.4g}: then several z land on one x"
            )
        self.sign, self._images = 1 if slope.sum() > 0 else -1, x

    def there(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (n,) and dx/dz (n,), at z (n,)."""
        x, _, J = self.map.call_and_jacobian(z[:, None])
        return x[:, 0], J[:, 0, 0]

    def back(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (n,) and log|dz/dx| (n,) in nats, at x (n,)."""
        if self.map.has_inverse:
            z, ladj = self.map.inverse_and_ladj(x[:, None])
            return z[:, 0], ladj
        z = self._solved(x)
        return z, -self.map.call_and_ladj(z[:, None])[1]

    def _solved(self, x: Tensor) -> Tensor:
        def value_and_slope(z: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = self.there(z)
            return self.sign * (value - x), self.sign * slope

        # Between two nodes, by the table of their images, or the outermost two.
        above = torch.searchsorted(self.sign * self._images, self.sign * x).clamp(1, len(self._nodes) - 1)
        return increasing_root(value_and_slope, self._nodes[above - 1], self._nodes[above])
