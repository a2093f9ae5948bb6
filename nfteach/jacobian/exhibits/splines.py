"""An exhibit that is right on paper and in float64, and wrong in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .exhibit import Exhibit, normal, returns

__all__ = ["SPLINES", "QuadraticSpline"]

# Raw slopes at the five knots, one row for each dimension. Between two nearly equal ones the curve is nearly straight.
SLOPES = torch.tensor(
    [[0.0, 1e-6, -1e-6, 2e-6, 0.5], [0.8, -0.5, 0.3, 0.3 + 1e-6, 1.0], [-0.4, 0.6, 0.6 - 2e-6, -0.7, 0.1]]
)


class QuadraticSpline(nn.Module):
    """An increasing curve from (-3, -3) to (3, 3) in each dimension: four bins, in each a parabola; elsewhere y = x.

    From knot to knot the slope runs straight (Müller et al. 2019, Neural Importance Sampling).
    """

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__()
        self.repaired = repaired
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


SPLINES = (
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
