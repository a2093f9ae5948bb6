"""From whole-numbered pixels to real values and back: dequantisation, the logit, bits per dimension."""

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
    """Whole-numbered pixels to real values in [0, 1): x = (k + u) / levels, with u uniform on [0, 1), fresh each call.

    A density may grow without bound on a finite set of values, so the likelihood of raw pixels means nothing. With the
    noise, pixel k owns the whole interval from k / levels to (k + 1) / levels, and log q(x) - D log(levels) is on
    average no more than the log-probability that q gives to the pixels themselves.

    Args:
        pixels: of any shape, 0, 1, ... levels - 1, as whole or real numbers. Real numbers keep their dtype; whole
            numbers become torch's default dtype.
        levels: how many values a pixel can have: 256 for photographs of 8 bits, 17 for the digits.
        generator: the source of u; by default torch's own.

    Raises:
        ValueError: if ``levels`` is not a whole number from 1 up, or a pixel is not one of 0, 1, ... levels - 1.

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
    # Rounding would now and then lift k + u to k + 1, the next pixel's value: stay a few roundings below it.
    return (real + u * (1 - 2 * levels * torch.finfo(real.dtype).eps)) / levels


def quantise(x: Tensor, levels: int) -> Tensor:
    """Real values to the pixels that own them: floor(levels x), and the nearest pixel outside [0, 1).

    Undoes :func:`dequantise`, and makes images that could be data of a model's samples.

    Example:
        >>> quantise(torch.tensor([-0.01, 0.5, 1.02]), levels=17)
        tensor([ 0.,  8., 16.])
    """
    check_sizes(levels=levels)
    return (x * levels).floor().clamp(0, levels - 1)


def bits_per_dim(log_prob: Tensor | float, dim: int, levels: int) -> Tensor | float:
    """The bits that a pixel costs under a density of dequantised images: log2(levels) - log q(x) / (D log 2).

    ``log_prob`` is that of x in [0, 1)^D, as :func:`dequantise` gives it, in which a pixel's value is an interval 1 /
    levels long: probability is density times levels^-D. A uniform q therefore costs log2(levels) bits. A density of
    pixels in 0 ... levels must be brought to this scale first, by adding D log(levels) to its logarithm.

    Args:
        log_prob: log q(x) in nats, of any shape, or its mean.
        dim: D, the number of values in one image: C * H * W.
        levels: how many values a pixel can have.

    Returns:
        bits per dimension, shaped as ``log_prob``; the lower, the better.

    Raises:
        ValueError: if ``dim`` or ``levels`` is not a whole number from 1 up.

    References:
        Theis et al. (2016), section 3.1, https://arxiv.org/abs/1511.01844; Dinh et al. (2017), section 4.1

    Example:
        >>> bits_per_dim(0.0, dim=64, levels=256)  # a uniform density on [0, 1)^64 knows nothing: 8 bits
        8.0
    """
    check_sizes(dim=dim, levels=levels)
    return math.log2(levels) - log_prob / (dim * math.log(2))


class Logit(Flow):
    r"""Pixel values to the whole real line: y = logit(p) with p = alpha + (1 - 2 alpha) x, dimension by dimension.

    Maps pixels x to unbounded y; ``Logit(dim).inv`` maps the line to pixels. With alpha > 0 the values 0 and 1
    themselves stay finite, and what is mapped one to one onto the line is the slightly wider interval
    -alpha / (1 - 2 alpha) < x < 1 + alpha / (1 - 2 alpha). Outside of it y and the log-det are NaN.

    The paper writes alpha + (1 - alpha) x, which leaves the upper end at 1, where the logit is infinite; its authors'
    code is symmetric, as here.

    Args:
        dim: D.
        alpha: at least 0 and below 1/2.

    Raises:
        ValueError: if ``dim`` is not a whole number from 1 up, or ``alpha`` out of range.

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
        """log p and log(1 - p), the latter without the cancellation of 1 - p for p near 1."""
        stretch = 1 - 2 * self.alpha
        return torch.log(self.alpha + stretch * x), torch.log(self.alpha + stretch * (1 - x))
