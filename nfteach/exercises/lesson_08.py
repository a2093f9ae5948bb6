"""Lesson 08, RealNVP on images: bits per dimension, the logit's log-det, squeezing and back, factoring out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from nfteach.exercises.autograd import log_abs_det_jacobian
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception

__all__ = ["bits", "factor_out", "logit_log_det", "squeeze", "unsqueeze"]


# ---- 8.1 ---------------------------------------------------------------------------------------------------------


def _densities(generator: torch.Generator, index: int) -> tuple[Tensor, int, int]:
    """log q(x) (B,) in nats, of images with D = 12, 27, 48, ... values of 5, 16, 256, ... levels."""
    dim, levels = 3 * (2 + index) ** 2, (5, 16, 256, 17, 32, 200)[index % 6]
    return dim * (0.8 + normal(generator, 5)), dim, levels


def _bits(log_prob: Tensor, dim: int, levels: int) -> Tensor:
    nats = dim * math.log(levels) - log_prob  # minus the log-probability of the pixels themselves
    return nats / (dim * math.log(2))


def _bits_by_a_typical_pixel(log_prob: Tensor, dim: int, levels: int) -> Tensor:
    """The geometric mean of the pixels' densities, times the length of a pixel's interval, and its bits."""
    return -torch.log2(torch.exp(log_prob / dim) / levels)


bits = Exercise(
    number="8.1",
    title="bits per dimension",
    arguments=("log_prob", "dim", "levels"),
    returns=("bits",),
    cases=_densities,
    truth=_bits_by_a_typical_pixel,
    answer=_bits,
    reasoning=r"A pixel's interval is $1/L$ long, so an image of $D$ pixels has about the probability $q(x)\,L^{-D}$, "
    r"and minus its logarithm is $D \log L - \log q(x)$ nats. Divided by $\log 2$ these are bits, divided by $D$ bits "
    r"per dimension.",
    hints=(
        r"Go from density to probability first: by (3), $\log P(k)$ is about $\log q(x) - D \log L$.",
        r"Minus that is what the image costs, in nats. One bit is $\log 2$ nats, and there are $D$ dimensions.",
    ),
    misconceptions=(
        Misconception(
            name="levels forgotten",
            message="These are the bits of a density. A pixel owns an interval of length 1 / levels: without that "
            "factor you do not have a probability.",
            answer=lambda log_prob, dim, levels: -log_prob / (dim * math.log(2)),
        ),
        Misconception(
            name="levels counted once",
            message="You counted the levels for one pixel only. Each of the dimensions has an interval of its own.",
            answer=lambda log_prob, dim, levels: (math.log(levels) - log_prob) / (dim * math.log(2)),
        ),
        Misconception(
            name="nats",
            message="These are nats per dimension. In bits the logarithm is to base 2.",
            answer=lambda log_prob, dim, levels: math.log(levels) - log_prob / dim,
        ),
        Misconception(
            name="bits per image",
            message="These are the bits of the whole image. The score is told per dimension.",
            answer=lambda log_prob, dim, levels: (dim * math.log(levels) - log_prob) / math.log(2),
        ),
        Misconception(
            name="divided by the batch",
            message="You divided by the number of images. It is the number of dimensions of one image that counts.",
            answer=lambda log_prob, dim, levels: (dim * math.log(levels) - log_prob) / (len(log_prob) * math.log(2)),
        ),
        Misconception(
            name="sign of the density",
            message="The sign of log_prob is flipped: with yours, a likelier image costs more bits.",
            answer=lambda log_prob, dim, levels: (dim * math.log(levels) + log_prob) / (dim * math.log(2)),
        ),
    ),
)


# ---- 8.2 ---------------------------------------------------------------------------------------------------------


def _pixels(generator: torch.Generator, index: int) -> tuple[Tensor, float]:
    """x (B, D) in [0, 1) with D = 3, 4, 5, ..., and alpha from 0.03 up.

    In every other case the logits are between 0 and 1: there even a formula that takes y for p gives numbers.
    """
    alpha = 0.03 + 0.02 * index
    x = torch.rand(4, 3 + index, generator=generator, dtype=torch.float64)
    if index % 2:
        p = torch.sigmoid(0.1 + 0.8 * x)
        x = (p - alpha) / (1 - 2 * alpha)
    return x, alpha


def _logit_log_det(x: Tensor, alpha: float) -> Tensor:
    p = alpha + (1 - 2 * alpha) * x
    slope = (1 - 2 * alpha) / (p * (1 - p))
    return torch.log(slope).sum(-1)


def _logit_log_det_by_autograd(x: Tensor, alpha: float) -> Tensor:
    x = x.requires_grad_()
    y = torch.logit(torch.lerp(torch.full_like(x, alpha), torch.full_like(x, 1 - alpha), x))
    return torch.autograd.grad(y.sum(), x)[0].log().sum(-1)


def _one_sided_log_det(x: Tensor, alpha: float) -> Tensor:
    p = alpha + (1 - alpha) * x
    return (math.log(1 - alpha) - torch.log(p) - torch.log(1 - p)).sum(-1)


logit_log_det = Exercise(
    number="8.2",
    title="the logit's log-det",
    arguments=("x", "alpha"),
    returns=("log|det J|",),
    cases=_pixels,
    truth=_logit_log_det_by_autograd,
    answer=_logit_log_det,
    reasoning=r"Each pixel is mapped by itself, so $J$ is diagonal. Its entries are $dy/dx = (dy/dp)(dp/dx)$ with "
    r"$dy/dp = 1 / (p (1 - p))$ and $dp/dx = 1 - 2\alpha$. All are positive: the log-det is the sum of their "
    r"logarithms over the pixels of an image.",
    hints=(
        r"Compute $p = \alpha + (1 - 2\alpha)\,x$ first. It has the shape of x.",
        r"The slope of the logit is $1 / (p (1 - p))$. By the chain rule it is multiplied by $dp/dx$.",
        "One slope for each pixel: take logarithms, then add up over the last dimension.",
    ),
    misconceptions=(
        Misconception(
            name="alpha left out",
            message="You took the logit of x itself. It is taken of p, into which alpha enters.",
            answer=lambda x, alpha: -(torch.log(x) + torch.log1p(-x)).sum(-1),
        ),
        Misconception(
            name="slope of p forgotten",
            message="You have dy/dp. The chain rule goes on: how fast does p move when x does?",
            answer=lambda x, alpha: _logit_log_det(x, alpha) - x.shape[-1] * math.log(1 - 2 * alpha),
        ),
        Misconception(
            name="sign flipped",
            message="The sign is flipped: this is the log-det of the way back, from y to x.",
            answer=lambda x, alpha: -_logit_log_det(x, alpha),
        ),
        Misconception(
            name="at the output",
            message="You put the logit y where p belongs. The slope is taken at p, which comes from the input x.",
            answer=lambda x, alpha: _logit_log_det(
                (torch.logit(alpha + (1 - 2 * alpha) * x) - alpha) / (1 - 2 * alpha), alpha
            ),
        ),
        Misconception(
            name="not summed",
            message="That is one number per pixel. The determinant of a diagonal matrix is the product of all entries, "
            "so an image has one log-det.",
            answer=lambda x, alpha: torch.stack([_logit_log_det(column, alpha) for column in x.split(1, -1)], -1),
        ),
        Misconception(
            name="alpha at one end",
            message="Your p goes from alpha to 1, as the paper writes it. Here it goes from alpha to 1 - alpha: that "
            "keeps the logit of a full pixel finite as well.",
            answer=_one_sided_log_det,
        ),
    ),
)


# ---- 8.3 and 8.4 -------------------------------------------------------------------------------------------------

_ROWS_FIRST = ((0, 0), (0, 1), (1, 0), (1, 1))
_COLUMNS_FIRST = ((0, 0), (1, 0), (0, 1), (1, 1))


def _wide_images(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """x (B, C, H, W) with C = 2 or 3, more than one square each way, and H unlike W."""
    shape = ((4, 6), (6, 4), (4, 10), (6, 8), (8, 4), (4, 8))[index % 6]
    return (normal(generator, 3, 2 + index % 2, *shape),)


def _squeeze(x: Tensor) -> Tensor:
    upper, lower = x[:, :, 0::2], x[:, :, 1::2]  # rows 0, 2, 4, ... and rows 1, 3, 5, ...
    return torch.cat([upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]], dim=1)


def _squeezed(x: Tensor, places: tuple[tuple[int, int], ...] = _ROWS_FIRST) -> Tensor:
    """Place by place."""
    images, channels, height, width = x.shape
    y = x.new_empty(images, 4 * channels, height // 2, width // 2)
    for place, (i, j) in enumerate(places):
        for row in range(height // 2):
            for column in range(width // 2):
                y[:, place * channels : (place + 1) * channels, row, column] = x[:, :, 2 * row + i, 2 * column + j]
    return y


def _quarters(x: Tensor) -> Tensor:
    """The four quarters of the image as channels."""
    halves = x.chunk(2, dim=-2)
    return torch.cat([quarter for half in halves for quarter in half.chunk(2, dim=-1)], dim=1)


squeeze = Exercise(
    number="8.3",
    title="squeeze",
    arguments=("x",),
    returns=("y",),
    cases=_wide_images,
    truth=_squeezed,
    answer=_squeeze,
    reasoning="`x[:, :, 0::2, 1::2]` takes the even rows and the odd columns: the upper right pixel of every square at "
    "once, in all channels. The four such images stand one behind the other, as channels. Nothing is computed.",
    hints=(
        "`x[:, :, 0::2, 0::2]` is an image of half the height and width. Which pixel of each square does it hold?",
        "There are four such slices, with steps of 2 that begin at 0 or 1. Join them along the channels, `dim=1`.",
        "The order: upper left, upper right, lower left, lower right. A row begins at the first index, a column at the "
        "second.",
    ),
    misconceptions=(
        Misconception(
            name="plain reshape",
            message="A plain reshape only cuts the list of numbers anew: your channels hold stripes of the image, and "
            "not the four pixels of a square.",
            answer=lambda x: x.reshape(len(x), 4 * x.shape[1], x.shape[2] // 2, x.shape[3] // 2),
        ),
        Misconception(
            name="columns before rows",
            message="Upper right and lower left are swapped. The squares are read row by row.",
            answer=lambda x: _squeezed(x, _COLUMNS_FIRST),
        ),
        Misconception(
            name="channel by channel",
            message="The right numbers, in another order: you keep the four places of each channel together. Asked for "
            "is place by place, and in each place all channels.",
            answer=lambda x: pixel_unshuffle(x, 2),
        ),
        Misconception(
            name="channels last",
            message="Your channels stand last. Images are (B, C, H, W) here, before and after.",
            answer=lambda x: _squeezed(x).permute(0, 2, 3, 1),
        ),
        Misconception(
            name="quarters of the image",
            message="You cut the whole image into its four quarters. It is each square of 2 x 2 pixels that is taken "
            "apart.",
            answer=_quarters,
        ),
        Misconception(
            name="height and width swapped",
            message="Your images lie on their side: height and width are swapped.",
            answer=lambda x: _squeezed(x).transpose(-1, -2),
        ),
    ),
)


def _deep_images(generator: torch.Generator, index: int) -> tuple[Tensor]:
    """y (B, 4 C, H, W) with C = 2 or 3, H and W odd or even, and not alike."""
    shape = ((3, 2), (2, 5), (3, 4), (5, 3), (4, 3), (2, 3))[index % 6]
    return (normal(generator, 3, 4 * (2 + index % 2), *shape),)


def _unsqueeze(y: Tensor) -> Tensor:
    images, channels, height, width = y.shape
    upper_left, upper_right, lower_left, lower_right = y.chunk(4, dim=1)
    x = y.new_empty(images, channels // 4, 2 * height, 2 * width)
    x[:, :, 0::2, 0::2] = upper_left
    x[:, :, 0::2, 1::2] = upper_right
    x[:, :, 1::2, 0::2] = lower_left
    x[:, :, 1::2, 1::2] = lower_right
    return x


def _unsqueezed(y: Tensor, places: tuple[tuple[int, int], ...] = _ROWS_FIRST) -> Tensor:
    """Place by place."""
    images, channels, height, width = y.shape[0], y.shape[1] // 4, *y.shape[2:]
    x = y.new_empty(images, channels, 2 * height, 2 * width)
    for place, (i, j) in enumerate(places):
        for row in range(height):
            for column in range(width):
                x[:, :, 2 * row + i, 2 * column + j] = y[:, place * channels : (place + 1) * channels, row, column]
    return x


def _from_quarters(y: Tensor) -> Tensor:
    upper_left, upper_right, lower_left, lower_right = y.chunk(4, dim=1)
    return torch.cat([torch.cat([upper_left, upper_right], -1), torch.cat([lower_left, lower_right], -1)], -2)


unsqueeze = Exercise(
    number="8.4",
    title="unsqueeze",
    arguments=("y",),
    returns=("x",),
    cases=_deep_images,
    truth=_unsqueezed,
    answer=_unsqueeze,
    reasoning="The first quarter of the channels is the upper left pixel of every square. It goes where squeezing took "
    "it from: to the even rows and the even columns of an image twice as high and wide. A slice can be written to as "
    "well as read.",
    hints=(
        "`y.chunk(4, dim=1)` gives four groups of channels. Which place of the squares does each hold?",
        "Make an empty image, `y.new_empty(B, C // 4, 2 * H, 2 * W)`, and write the groups into slices of it.",
        "The slices are those of squeezing: `x[:, :, 0::2, 1::2] = ...` is the upper right place.",
    ),
    misconceptions=(
        Misconception(
            name="plain reshape",
            message="A plain reshape only cuts the list of numbers anew. The four pixels of a square come from four "
            "channels.",
            answer=lambda y: y.reshape(len(y), y.shape[1] // 4, 2 * y.shape[2], 2 * y.shape[3]),
        ),
        Misconception(
            name="columns before rows",
            message="Upper right and lower left are swapped: this undoes a squeeze that reads column by column.",
            answer=lambda y: _unsqueezed(y, _COLUMNS_FIRST),
        ),
        Misconception(
            name="channel by channel",
            message="You take the four places of a channel from neighbouring channels. Squeezing put them a quarter of "
            "all channels apart.",
            answer=lambda y: pixel_shuffle(y, 2),
        ),
        Misconception(
            name="channels last",
            message="Your channels stand last. Images are (B, C, H, W) here, before and after.",
            answer=lambda y: _unsqueezed(y).permute(0, 2, 3, 1),
        ),
        Misconception(
            name="quarters of the image",
            message="You set four small images side by side. Their pixels belong between one another.",
            answer=_from_quarters,
        ),
    ),
)


# ---- 8.5 ---------------------------------------------------------------------------------------------------------


class _Scale:
    """y_i = a x_i + b tanh(x_i) + c x_(i - 1), of as many dimensions as come in, with its log-det."""

    __name__ = "function"  # what messages call it

    def __init__(self, a: float, b: float, c: float) -> None:
        self.a, self.b, self.c = a, b, c

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        before = torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], -1)
        h = torch.tanh(x)
        y = self.a * x + self.b * h + self.c * before
        return y, torch.log(self.a + self.b * (1 - h**2)).sum(-1)


def _two_scales(generator: torch.Generator, index: int) -> tuple[Tensor, _Scale, _Scale]:
    """x (B, D) with D = 4, 5, 6, ... and two maps whose log-dets are neither alike nor near zero."""
    a, b = (0.3 + 0.2 * torch.rand(4, generator=generator)).split(2)
    first = _Scale(0.3 * a[0].item(), b[0].item(), 0.7)
    second = _Scale(3 + a[1].item(), 1 + b[1].item(), -0.6)
    return normal(generator, 4, 4 + index), first, second


def _log_normal(z: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)


def _two_scale_log_prob(x: Tensor, first: Callable, second: Callable) -> Tensor:
    h, first_ladj = first(x)
    half = x.shape[-1] // 2
    z1 = h[:, :half]  # leaves
    z2, second_ladj = second(h[:, half:])  # goes on
    z = torch.cat([z1, z2], dim=-1)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    return log_p + first_ladj + second_ladj


def _by_the_whole_jacobian(x: Tensor, first: Callable, second: Callable) -> Tensor:
    """The change of variables for x -> (z1, z2) as one map; what the scales say of their log-dets is not used."""

    def whole(x: Tensor) -> Tensor:
        h = first(x)[0]
        half = x.shape[-1] // 2
        return torch.cat([h[:, :half], second(h[:, half:])[0]], -1)

    z = whole(x.requires_grad_())
    return -(z**2 + math.log(2 * math.pi)).sum(-1) / 2 + log_abs_det_jacobian(whole, x)


def _pieces(x: Tensor, first: Callable, second: Callable) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """log p(z1), log p(z2) and the two log-dets."""
    h, first_ladj = first(x)
    half = x.shape[-1] // 2
    z2, second_ladj = second(h[:, half:])
    return _log_normal(h[:, :half]), _log_normal(z2), first_ladj, second_ladj


def _only_the_last(x: Tensor, first: Callable, second: Callable) -> Tensor:
    _, log_p2, _, second_ladj = _pieces(x, first, second)
    return log_p2 + second_ladj


def _without_what_left(x: Tensor, first: Callable, second: Callable) -> Tensor:
    _, log_p2, first_ladj, second_ladj = _pieces(x, first, second)
    return log_p2 + first_ladj + second_ladj


def _sign_flipped(x: Tensor, first: Callable, second: Callable) -> Tensor:
    log_p1, log_p2, first_ladj, second_ladj = _pieces(x, first, second)
    return log_p1 + log_p2 - first_ladj - second_ladj


def _without_the_first(x: Tensor, first: Callable, second: Callable) -> Tensor:
    log_p1, log_p2, _, second_ladj = _pieces(x, first, second)
    return log_p1 + log_p2 + second_ladj


def _without_the_second(x: Tensor, first: Callable, second: Callable) -> Tensor:
    log_p1, log_p2, first_ladj, _ = _pieces(x, first, second)
    return log_p1 + log_p2 + first_ladj


def _second_for_all(x: Tensor, first: Callable, second: Callable) -> Tensor:
    """The densities are those of what left and what went on, the second log-det that of all dimensions."""
    log_p1, log_p2, first_ladj, _ = _pieces(x, first, second)
    return log_p1 + log_p2 + first_ladj + second(first(x)[0])[1]


def _not_split(x: Tensor, first: Callable, second: Callable) -> Tensor:
    h, first_ladj = first(x)
    z, second_ladj = second(h)
    return _log_normal(z) + first_ladj + second_ladj


def _wrong_half(x: Tensor, first: Callable, second: Callable) -> Tensor:
    h, first_ladj = first(x)
    half = x.shape[-1] // 2
    z, second_ladj = second(h[:, :half])
    return _log_normal(z) + _log_normal(h[:, half:]) + first_ladj + second_ladj


factor_out = Exercise(
    number="8.5",
    title="a density through two scales",
    arguments=("x", "first", "second"),
    returns=("log q(x)",),
    cases=_two_scales,
    truth=_by_the_whole_jacobian,
    answer=_two_scale_log_prob,
    reasoning=r"Factoring out is a second layer that leaves half of its input alone: its Jacobian is block diagonal, "
    r"an identity and the second scale's own, and its log-det is the latter's. So the two log-dets add. What left is a "
    r"latent like any other: $z$ is $z^{(1)}$ and $z^{(2)}$ together, and the base's density is taken of all of it.",
    hints=(
        "Call `first` on x. Cut what comes in two: `h[:, :half]` leaves, `h[:, half:]` goes on into `second`.",
        r"Which numbers make up $z$? All $D$ of them are latent in the end, and each has its $\log p$.",
        "Both maps go from x to z, the density's way: their log-dets are added, once each.",
    ),
    misconceptions=(
        Misconception(
            name="what left is ignored",
            message="The half that was factored out has no density in your sum. It is a part of z, too.",
            answer=_without_what_left,
        ),
        Misconception(
            name="only the last scale",
            message="That is the density of h's second half under the last scale. The first scale's log-det and its "
            "latent are missing.",
            answer=_only_the_last,
        ),
        Misconception(
            name="sign flipped",
            message="You subtract the log-dets. These maps go from x to z, and there they are added.",
            answer=_sign_flipped,
        ),
        Misconception(
            name="first log-det left out",
            message="The first scale's log-det is missing. It moves all of the numbers, those that leave as well.",
            answer=_without_the_first,
        ),
        Misconception(
            name="second log-det left out",
            message="The second scale's log-det is missing. It moves half of the numbers, and space with them.",
            answer=_without_the_second,
        ),
        Misconception(
            name="second log-det of all dimensions",
            message="You took the second scale's log-det for all dimensions. It acts on those that went on; for the "
            "others it is the identity, whose log-det is 0.",
            answer=_second_for_all,
        ),
        Misconception(
            name="not split",
            message="You sent all of h through the second scale. Half of it leaves before.",
            answer=_not_split,
        ),
        Misconception(
            name="wrong half",
            message="The wrong half went on: the first half leaves, the second goes on.",
            answer=_wrong_half,
        ),
    ),
)
