"""Exhibits whose way back is wrong, not there at all, or right in float64 only."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.distributions.transforms import Transform

from .exhibit import Exhibit, Layer, agree, log_abs_det, normal, returns

__all__ = ["INVERSES", "Conditional", "Contraction", "Interleaved", "QuadraticSpline", "Squeeze"]


class Interleaved(Layer):
    """An affine coupling: the even dimensions are kept, the odd ones are changed, and all go back to their places."""

    def __init__(self, dim: int = 5, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        kept, changed = dim - dim // 2, dim // 2
        self.to_s = nn.Parameter(normal(kept, changed, seed=31))
        self.to_t = nn.Parameter(normal(kept, changed, seed=32))

    def s_and_t(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(kept @ self.to_s), kept @ self.to_t

    def join(self, kept: Tensor, changed: Tensor) -> Tensor:
        joined = torch.cat([kept, changed], 1)
        if self.repaired:
            places = torch.arange(joined.shape[1])
            joined = joined[:, torch.cat([places[::2], places[1::2]]).argsort()]
        return joined

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, ::2], x[:, 1::2]
        s, t = self.s_and_t(kept)
        return self.join(kept, changed * s.exp() + t), s.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = y[:, ::2], y[:, 1::2]
        s, t = self.s_and_t(kept)
        return self.join(kept, (changed - t) * (-s).exp()), -s.sum(-1)


def two_dimensions(repaired: bool = False) -> bool:
    """Round trip in the two dimensions of the usual toy data; the log-det in five."""
    flat, wide, x = Interleaved(2, repaired=repaired), Interleaved(repaired=repaired), normal(6, 5, seed=33)
    return returns(flat, x[:, :2]) and agree(wide(x)[1], log_abs_det(wide, x))


class Squeeze(Layer):
    """(B, C, H, W) -> (B, 4 C, H/2, W/2): each square of 2 x 2 pixels becomes four channels (Dinh et al. 2017)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        B, C, H, W = x.shape
        squares = x.reshape(B, C, H // 2, 2, W // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return squares.reshape(B, 4 * C, H // 2, W // 2), x.new_zeros(B)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        B, channels, H, W = y.shape
        squares = y.reshape(B, channels // 4, 2, 2, H, W)
        picture = squares.permute(0, 1, 4, 2, 5, 3) if self.repaired else squares.permute(0, 1, 2, 4, 3, 5)
        return picture.reshape(B, channels // 4, 2 * H, 2 * W), y.new_zeros(B)


def smallest_picture(repaired: bool = False) -> bool:
    """Round trip of a picture of 2 x 2 pixels; log-det 0 for a larger one, where it is 0 in any order."""
    layer = Squeeze(repaired=repaired)
    small, large = normal(3, 2, 2, 2, seed=34), normal(3, 1, 4, 4, seed=35)
    return returns(layer, small) and agree(layer(large)[1], log_abs_det(layer, large))


class Conditional(Layer):
    """A layer for long chains: all are called with (inputs, context, mode), and some make use of the context.

    y is x in reverse order, scaled and shifted. Starts without scale and shift.
    """

    def __init__(self, dim: int = 3, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.log_scale = nn.Parameter(torch.zeros(dim))
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, inputs: Tensor, context: Tensor | None = None, mode: str = "direct") -> tuple[Tensor, Tensor]:
        log_det = self.log_scale.sum().expand(len(inputs))
        if mode == "direct":
            return inputs.flip(-1) * self.log_scale.exp() + self.shift, log_det
        return ((inputs - self.shift) * (-self.log_scale).exp()).flip(-1), -log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        if self.repaired:
            return self(y, mode="inverse")
        return self(y, "inverse")


def its_own_inverse(repaired: bool = False) -> bool:
    """Round trip of a fresh layer: reversing the order twice leads back."""
    return returns(Conditional(repaired=repaired), normal(6, 3, seed=36))


class Contraction(Transform):
    """y = x + tanh(x) / 2 in each dimension: increasing, but no formula leads back."""

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(cache_size=1)
        self.repaired = repaired

    def _call(self, x: Tensor) -> Tensor:
        return x + torch.tanh(x) / 2

    def _inverse(self, y: Tensor) -> Tensor:
        if self.repaired:
            x = y
            for _ in range(60):  # tanh(x) / 2 moves half as far as x at most, so the error halves each time
                x = y - torch.tanh(x) / 2
            return x
        raise NotImplementedError("y is expected in the cache")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (1.5 - torch.tanh(x) ** 2 / 2).log().sum(-1)


def straight_back(repaired: bool = False) -> bool:
    """Round trip, and the log-density of a sample; both ask for the inverse of the point that was just mapped."""
    layer, x = Contraction(repaired=repaired), normal(6, 3, seed=37)
    flow = torch.distributions.TransformedDistribution(torch.distributions.Normal(torch.zeros(3), 1.0), [layer])
    log_prob = flow.log_prob(layer(x))
    expected = -0.5 * (x**2 + math.log(2 * math.pi)).sum(-1) - layer.log_abs_det_jacobian(x, layer(x))
    return agree(layer.inv(layer(x)), x) and agree(log_prob, expected)


# Raw slopes at the five knots, one row for each dimension. Between two nearly equal ones the curve is nearly straight.
SLOPES = torch.tensor(
    [[0.0, 1e-6, -1e-6, 2e-6, 0.5], [0.8, -0.5, 0.3, 0.3 + 1e-6, 1.0], [-0.4, 0.6, 0.6 - 2e-6, -0.7, 0.1]]
)


class QuadraticSpline(Layer):
    """An increasing curve from (-3, -3) to (3, 3) in each dimension: four bins, in each a parabola; elsewhere y = x.

    From knot to knot the slope runs straight (Müller et al. 2019, Neural Importance Sampling).
    """

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.raw = nn.Parameter(SLOPES.clone())

    def knots(self) -> tuple[Tensor, Tensor, float]:
        """The slopes and the heights of the knots, both (D, bins + 1), and the width of a bin."""
        width = 6 / (self.raw.shape[1] - 1)
        slope = self.raw.exp()
        rise = (slope[:, 1:] + slope[:, :-1]) / 2 * width
        scale = 6 / rise.sum(1, keepdim=True)
        start = torch.full_like(scale, -3.0)
        return slope * scale, torch.cat([start, start + (rise * scale).cumsum(1)], 1), width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        slope, height, width = self.knots()
        k = ((x + 3) / width).long().clamp(0, slope.shape[1] - 2)
        d = torch.arange(x.shape[1])
        t, v, bend = x + 3 - k * width, slope[d, k], (slope[d, k + 1] - slope[d, k]) / width
        inside = x.abs() < 3
        log_det = torch.where(inside, v + bend * t, 1.0).log().sum(-1)
        return torch.where(inside, height[d, k] + v * t + bend * t**2 / 2, x), log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        slope, height, width = self.knots()
        k = (torch.searchsorted(height, y.T.contiguous()).T - 1).clamp(0, slope.shape[1] - 2)
        d = torch.arange(y.shape[1])
        rise, v, bend = y - height[d, k], slope[d, k], (slope[d, k + 1] - slope[d, k]) / width
        inside = y.abs() < 3
        # bend / 2 t^2 + v t - rise = 0
        root = torch.where(inside, v**2 + 2 * bend * rise, 1.0).sqrt()
        t = 2 * rise / (v + root) if self.repaired else (root - v) / bend
        return torch.where(inside, -3 + k * width + t, y), -root.log().sum(-1)


def in_float64(repaired: bool = False) -> bool:
    """Round trip in float64, as is usual where mathematics is checked."""
    return returns(QuadraticSpline(repaired=repaired).double(), 2 * normal(50, 3, seed=51).double(), tolerance=1e-6)


INVERSES = (
    Exhibit(
        name="interleaved-halves",
        title="Taken apart one way, put together another",
        story=(
            "The input is split into even and odd dimensions, and the output is put together as two halves. The "
            "inverse splits into even and odd again and takes the wrong numbers for the kept ones."
        ),
        reported="karpathy/pytorch-normalizing-flows 5, 10",
        missed="With D = 2 the halves are the even and the odd dimensions; the log-det is right for any D.",
        code="inverse-wrong",
        layer=Interleaved,
        x=normal(6, 5, seed=38),
        innocent=two_dimensions,
    ),
    Exhibit(
        name="squeeze-axes",
        title="A reshape with its axes in the wrong order",
        story=(
            "Going back from four channels to 2 x 2 squares, the axes are put in the wrong order, and pixels end up in "
            "other places than they came from."
        ),
        reported="ikostrikov/pytorch-flows",
        missed="Moving pixels about has log-det 0 in any order, and a picture of one square comes back all the same.",
        code="inverse-wrong",
        layer=Squeeze,
        x=normal(3, 1, 4, 4, seed=39),
        innocent=smallest_picture,
    ),
    Exhibit(
        name="mode-as-context",
        title="The mode, passed as the context",
        story=(
            "The second argument of the call is the context, the third the mode. The inverse passes its mode second: "
            "it is taken for a context, which this layer has no use for, and the layer runs forward again."
        ),
        reported="ikostrikov/pytorch-flows",
        missed="A fresh layer only reverses the order, and reversing twice leads back.",
        code="inverse-wrong",
        layer=Conditional,
        x=normal(6, 3, seed=40),
        innocent=its_own_inverse,
        perturb=0.5,
    ),
    Exhibit(
        name="cached-inverse",
        title="An inverse that only a cache can answer",
        story=(
            "The transform has no inverse; it remembers the last point it mapped. That is enough to sample and to "
            "score one's own samples, and not enough to give the density of data."
        ),
        reported="Pyro 2084",
        missed="The test mapped a point and asked for the way back at once, and the cache answered.",
        code="inverse-missing",
        layer=Contraction,
        x=normal(6, 3, seed=41),
        innocent=straight_back,
    ),
    Exhibit(
        name="float32-spline",
        title="A root that loses its digits",
        story=(
            "The inverse of a spline solves a quadratic equation. Where the curve is nearly straight, the textbook "
            "formula subtracts two nearly equal numbers and divides by a tiny one; float32 keeps no digit of that. The "
            "other form of the same root, 2c / (b + sqrt(b^2 + 4ac)), only adds."
        ),
        reported="several spline layers",
        missed="The round trip was tried in float64, where enough digits are left, or on strongly bent curves.",
        code="inverse-wrong",
        layer=QuadraticSpline,
        x=normal(12, 3, seed=58) * 1.5,
        innocent=in_float64,
    ),
)
