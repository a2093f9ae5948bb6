"""Dequantisation of whole-numbered pixels, the logit, and bits per dimension."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from .checks import check_sizes
from .flow import Flow

__all__ = ["Logit", "bits_per_dim", "dequantise", "quantise"]


def dequantise(pixels: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
    """Turn whole-numbered pixels into reals in [0, 1): x = (k + u) / levels, with u drawn uniformly from [0, 1).

    A density may grow without bound on a finite set of values, so the likelihood of raw pixels is meaningless. With the
    noise, pixel value k corresponds to the interval from k / levels to (k + 1) / levels, and log q(x) - D log(levels)
    is on average a lower bound of the log-probability that q assigns to the pixels.

    Args:
        pixels: values 0, 1, ... levels - 1, of any shape. Floating point tensors keep their dtype; integer tensors
            become torch's default dtype.
        levels: the number of values of a pixel: 256 for photographs of 8 bits, 17 for the digits.
        generator: the generator of u; by default torch's global one.

    Raises:
        ValueError: if ``levels`` is not a whole number of at least 1, or a pixel is not one of 0, 1, ... levels - 1.

    References:
        RNADE (Uria, Murray & Larochelle, 2013), section 5; A note on the evaluation of generative models (Theis et
        al., 2016), section 3.1, https://arxiv.org/abs/1511.01844

    Example:
        >>> x = dequantise(torch.tensor([0, 7, 16]), levels=17)
        >>> (x * 17).floor()
        tensor([ 0.,  7., 16.])
    """
    check_sizes(levels=levels)
    if not isinstance(pixels, Tensor) or pixels.is_complex():
        came = pixels.dtype if isinstance(pixels, Tensor) else f"a {type(pixels).__name__}"
        raise ValueError(f"pixels must be a tensor of whole numbers, but is {came}")
    real = pixels if pixels.is_floating_point() else pixels.to(torch.get_default_dtype())
    wrong = ~((real >= 0) & (real < levels) & (real == real.floor()))
    if wrong.any():
        raise ValueError(
            f"pixels must be whole numbers from 0 to {levels - 1}, one of {levels} levels, "
            f"but one is {real[wrong][0].item():g}"
        )
    u = torch.rand(real.shape, generator=generator, dtype=real.dtype, device=real.device)
    # Rounding could turn k + u into k + 1, the next pixel value: stay a few rounding errors below it.
    return (real + u * (1 - 2 * levels * torch.finfo(real.dtype).eps)) / levels


def quantise(x: Tensor, levels: int) -> Tensor:
    """Turn real values into pixels: floor(levels x), or the nearest pixel value for x outside [0, 1).

    This inverts :func:`dequantise`, and turns samples of a model into images with the same levels as the data.

    Example:
        >>> quantise(torch.tensor([-0.01, 0.5, 1.02]), levels=17)
        tensor([ 0.,  8., 16.])
    """
    check_sizes(levels=levels)
    return (x * levels).floor().clamp(0, levels - 1)


def bits_per_dim(log_prob: Tensor | float, dim: int, levels: int) -> Tensor | float:
    """Compute the bits per pixel under a density of dequantised images: log2(levels) - log q(x) / (D log 2).

    ``log_prob`` is the log-density of x in [0, 1)^D, the output of :func:`dequantise`, where a pixel value is an
    interval of length 1 / levels: probability is density times levels^-D. A uniform q therefore costs log2(levels)
    bits. To the log-density of pixels in [0, levels) add D log(levels) first.

    Args:
        log_prob: log q(x) in nats, of any shape, or its mean.
        dim: D, the number of values in one image: C * H * W.
        levels: the number of values of a pixel.

    Returns:
        Bits per dimension, in the shape of ``log_prob``; lower is better.

    Raises:
        ValueError: if ``dim`` or ``levels`` is not a whole number of at least 1.

    References:
        Theis et al. (2016), section 3.1, https://arxiv.org/abs/1511.01844; Dinh et al. (2017), section 4.1

    Example:
        >>> bits_per_dim(0.0, dim=64, levels=256)  # the uniform density on [0, 1)^64
        8.0
    """
    check_sizes(dim=dim, levels=levels)
    return math.log2(levels) - log_prob / (dim * math.log(2))


class Logit(Flow):
    r"""The logit of pixel values, y = logit(p) with p = alpha + (1 - 2 alpha) x, dimension by dimension.

    Maps pixels x to unbounded y; ``Logit(dim).inv`` maps the real line to pixels. With alpha > 0, the pixel values 0
    and 1 have finite images, and the map is a bijection from the slightly wider interval
    -alpha / (1 - 2 alpha) < x < 1 + alpha / (1 - 2 alpha) onto the line. Outside of the interval, y and the
    log-determinant are NaN.

    The paper writes alpha + (1 - alpha) x, which is 1 at x = 1, where the logit is infinite. The authors' code is
    symmetric, as this class is.

    Args:
        dim: D, the number of dimensions.
        alpha: the margin, at least 0 and below 1/2.

    Raises:
        ValueError: if ``dim`` is not a whole number of at least 1, or ``alpha`` is out of range.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 4.1, https://arxiv.org/abs/1605.08803

    Example:
        >>> logit = Logit(3)
        >>> logit(torch.tensor([0.0, 0.5, 1.0]))
        tensor([-2.9444,  0.0000,  2.9444])
    """

    formula = r"\log|\det J| = \sum_{i=1}^{D} \log\frac{1 - 2\alpha}{p_i (1 - p_i)}, \quad p = \alpha + (1 - 2\alpha) x"

    def __init__(self, dim: int, alpha: float = 0.05) -> None:
        check_sizes(dim=dim)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < 0.5:
            raise ValueError(f"alpha must be a number, at least 0 and below 0.5, but is {alpha!r}")
        super().__init__(dim)
        self.alpha = float(alpha)

    @property
    def domain(self) -> constraints.Constraint:
        margin = self.alpha / (1 - 2 * self.alpha)
        return constraints.independent(constraints.interval(-margin, 1 + margin), 1)

    def extra_repr(self) -> str:
        return f"{self.dim}, alpha={self.alpha}"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_p, log_rest = self._log_p(self.check_input(x))
        return log_p - log_rest, (math.log1p(-2 * self.alpha) - log_p - log_rest).sum(-1)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self.check_input(y)
        x = (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha)
        return x, (logsigmoid(y) + logsigmoid(-y) - math.log1p(-2 * self.alpha)).sum(-1)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        log_p, log_rest = self._log_p(self.check_input(x))
        return {"p": log_p.exp(), "dy/dx": (1 - 2 * self.alpha) * torch.exp(-log_p - log_rest)}

    def _log_p(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p and log(1 - p), the latter without the cancellation of 1 - p for p near 1."""
        stretch = 1 - 2 * self.alpha
        return torch.log(self.alpha + stretch * x), torch.log(self.alpha + stretch * (1 - x))
