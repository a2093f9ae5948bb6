"""Lesson 08, RealNVP images: bits per dimension, the logit's log-det, squeezing and back, factoring out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise
from nfteach.exercises.texts import text

__all__ = ["bits", "factor_out", "logit_log_det", "squeeze", "unsqueeze"]


# ---- 8.1 ---------------------------------------------------------------------------------------------------------


def _densities(generator: torch.Generator, index: int) -> tuple[Tensor, int, int]:
    """Draw log q(x) (B,) in nats, of images with D = 12, 27, 48, ... values of 5, 16, 256, ... levels."""
    dim, levels = 3 * (2 + index) ** 2, (5, 16, 256, 17, 32, 200)[index % 6]
    return dim * (0.8 + draw(generator, 5)), dim, levels


def _bits_by_a_typical_pixel(log_prob: Tensor, dim: int, levels: int) -> Tensor:
    """Return the geometric mean of the pixels' densities, times the length of a pixel's interval, and its bits."""
    return -torch.log2(torch.exp(log_prob / dim) / levels)


def bits(log_prob, dim, levels):
    nats = dim * math.log(levels) - log_prob  # minus the log-probability of the pixels
    return nats / (dim * math.log(2))


bits = Exercise(
    **text("8.1"),
    returns=("bits",),
    cases=_densities,
    truth=_bits_by_a_typical_pixel,
    answer=bits,
)


# ---- 8.2 ---------------------------------------------------------------------------------------------------------


def _pixels(generator: torch.Generator, index: int) -> tuple[Tensor, float]:
    """Draw x (B, D) in [0, 1) with D = 3, 4, 5, ..., and alpha from 0.03 up.

    In every other case the logits are between 0 and 1: there even a formula that takes y for p gives numbers.
    """
    alpha = 0.03 + 0.02 * index
    x = torch.rand(4, 3 + index, generator=generator, dtype=torch.float64)
    if index % 2:
        p = torch.sigmoid(0.1 + 0.8 * x)
        x = (p - alpha) / (1 - 2 * alpha)
    return x, alpha


def _logit_log_det_by_autograd(x: Tensor, alpha: float) -> Tensor:
    x = x.requires_grad_()
    y = torch.logit(torch.lerp(torch.full_like(x, alpha), torch.full_like(x, 1 - alpha), x))
    return torch.autograd.grad(y.sum(), x)[0].log().sum(-1)


def logit_log_det(x, alpha):
    p = alpha + (1 - 2 * alpha) * x
    slope = (1 - 2 * alpha) / (p * (1 - p))
    return torch.log(slope).sum(-1)


logit_log_det = Exercise(
    **text("8.2"),
    returns=("log|det J|",),
    cases=_pixels,
    truth=_logit_log_det_by_autograd,
    answer=logit_log_det,
)


# ---- 8.3 and 8.4 -------------------------------------------------------------------------------------------------

_ROWS_FIRST = ((0, 0), (0, 1), (1, 0), (1, 1))


def _wide_images(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw x (B, C, H, W) with C = 2 or 3, more than one square each way, and H unlike W."""
    shape = ((4, 6), (6, 4), (4, 10), (6, 8), (8, 4), (4, 8))[index % 6]
    return (draw(generator, 3, 2 + index % 2, *shape),)


def _squeezed(x: Tensor, places: tuple[tuple[int, int], ...] = _ROWS_FIRST) -> Tensor:
    """Move one place after the other."""
    images, channels, height, width = x.shape
    y = x.new_empty(images, 4 * channels, height // 2, width // 2)
    for place, (i, j) in enumerate(places):
        for row in range(height // 2):
            for column in range(width // 2):
                y[:, place * channels : (place + 1) * channels, row, column] = x[:, :, 2 * row + i, 2 * column + j]
    return y


def squeeze_images(x):
    upper, lower = x[:, :, 0::2], x[:, :, 1::2]  # even rows and odd rows
    places = [upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]]
    return torch.cat(places, dim=1)


squeeze = Exercise(
    **text("8.3"),
    returns=("y",),
    cases=_wide_images,
    truth=_squeezed,
    answer=squeeze_images,
)


def _deep_images(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """Draw y (B, 4 C, H, W) with C = 2 or 3, H and W odd or even, and not alike."""
    shape = ((3, 2), (2, 5), (3, 4), (5, 3), (4, 3), (2, 3))[index % 6]
    return (draw(generator, 3, 4 * (2 + index % 2), *shape),)


def _unsqueezed(y: Tensor, places: tuple[tuple[int, int], ...] = _ROWS_FIRST) -> Tensor:
    """Move one place after the other."""
    images, channels, height, width = y.shape[0], y.shape[1] // 4, *y.shape[2:]
    x = y.new_empty(images, channels, 2 * height, 2 * width)
    for place, (i, j) in enumerate(places):
        for row in range(height):
            for column in range(width):
                x[:, :, 2 * row + i, 2 * column + j] = y[:, place * channels : (place + 1) * channels, row, column]
    return x


def unsqueeze_images(y):
    images, channels, height, width = y.shape
    upper_left, upper_right, lower_left, lower_right = y.chunk(4, dim=1)
    x = y.new_empty(images, channels // 4, 2 * height, 2 * width)
    x[:, :, 0::2, 0::2] = upper_left
    x[:, :, 0::2, 1::2] = upper_right
    x[:, :, 1::2, 0::2] = lower_left
    x[:, :, 1::2, 1::2] = lower_right
    return x


unsqueeze = Exercise(
    **text("8.4"),
    returns=("x",),
    cases=_deep_images,
    truth=_unsqueezed,
    answer=unsqueeze_images,
)


# ---- 8.5 ---------------------------------------------------------------------------------------------------------


class _Scale:
    """The map y_i = a x_i + b tanh(x_i) + c x_(i - 1), in any number of dimensions, with its log-det."""

    __name__ = "function"  # the name in messages

    def __init__(self, a: float, b: float, c: float) -> None:
        self.a, self.b, self.c = a, b, c

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        before = torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], -1)
        h = torch.tanh(x)
        y = self.a * x + self.b * h + self.c * before
        return y, torch.log(self.a + self.b * (1 - h**2)).sum(-1)


def _two_scales(generator: torch.Generator, index: int) -> tuple[Tensor, _Scale, _Scale]:
    """Draw x (B, D) with D = 4, 5, 6, ... and two maps whose log-dets are neither alike nor near zero."""
    a, b = (0.3 + 0.2 * torch.rand(4, generator=generator)).split(2)
    first = _Scale(0.3 * a[0].item(), b[0].item(), 0.7)
    second = _Scale(3 + a[1].item(), 1 + b[1].item(), -0.6)
    return draw(generator, 4, 4 + index), first, second


def _by_the_whole_jacobian(x: Tensor, first: Callable, second: Callable) -> Tensor:
    """Change variables from x to (z1, z2) by one map; the log-dets that the scales return are not used."""

    def whole(x: Tensor) -> Tensor:
        h = first(x)[0]
        half = x.shape[-1] // 2
        return torch.cat([h[:, :half], second(h[:, half:])[0]], -1)

    z = whole(x.requires_grad_())
    return -(z**2 + math.log(2 * math.pi)).sum(-1) / 2 + log_abs_det_jacobian(whole, x)


def two_scale_log_prob(x, first, second):
    h, first_ladj = first(x)
    half = x.shape[-1] // 2
    z1 = h[:, :half]  # factored out
    z2, second_ladj = second(h[:, half:])  # goes on
    z = torch.cat([z1, z2], dim=-1)
    return Normal(0.0, 1.0).log_prob(z).sum(-1) + first_ladj + second_ladj


factor_out = Exercise(
    **text("8.5"),
    returns=("log q(x)",),
    cases=_two_scales,
    truth=_by_the_whole_jacobian,
    answer=two_scale_log_prob,
)
