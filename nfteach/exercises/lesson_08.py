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
from nfteach.exercises.mistakes import slips

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
    nats = dim * math.log(levels) - log_prob  # minus the log-probability of the pixels themselves
    return nats / (dim * math.log(2))


bits = Exercise(
    number="8.1",
    title="bits per dimension",
    returns=("bits",),
    cases=_densities,
    truth=_bits_by_a_typical_pixel,
    answer=bits,
    reasoning=r"A pixel's interval is $1/L$ long, so an image of $D$ pixels has about the probability $q(x)\,L^{-D}$, "
    r"and minus its logarithm is $D \log L - \log q(x)$ nats. Divided by $\log 2$ these are bits, divided by $D$ bits "
    r"per dimension.",
    hints=(
        r"Go from density to probability first: by (3), $\log P(k)$ is about $\log q(x) - D \log L$.",
        r"Minus that is what the image costs, in nats. One bit is $\log 2$ nats, and there are $D$ dimensions.",
    ),
    misconceptions=slips(r"""
        levels forgotten: These are the bits of a density. A pixel owns an interval of length 1 / levels: without that
            factor you do not have a probability.
            dim * math.log(levels) - log_prob -> -log_prob
        levels counted once: You counted the levels for one pixel only. Each of the dimensions has an interval of its
            own.
            dim * math.log(levels) -> math.log(levels)
        nats: These are nats per dimension. In bits the logarithm is to base 2.
            (dim * math.log(2)) -> dim
        bits per image: These are the bits of the whole image. The score is told per dimension.
            / (dim * math.log(2)) -> / math.log(2)
        nats per image: These are the nats of the whole image. The score is told in bits, per dimension.
            return nats / (dim * math.log(2)) -> return nats
        divided by the batch: You divided by the number of images. It is the number of dimensions of one image that
            counts.
            / (dim * -> / (len(log_prob) *
        sign of the density: The sign of log_prob is flipped: with yours, a likelier image costs more bits.
            - log_prob -> + log_prob
        sign flipped: The sign is flipped: fewer bits are better, so they are counted as positive.
            return nats -> return -nats
        levels subtracted: The sign of the levels is flipped: an interval of length 1 / L makes a probability smaller,
            so it costs bits.
            dim * math.log(levels) - log_prob -> -dim * math.log(levels) - log_prob
        levels without their logarithm: You added L itself. Its logarithm is added.
            math.log(levels) -> levels
        bits of the levels among nats: You added bits to nats: the logarithm of L is to base 2, that of q is not yet.
            math.log(levels) -> math.log2(levels)
        multiplied by log 2: You multiplied by log 2. A bit is less than a nat, so there are more of them: divide.
            / (dim * math.log(2)) -> / dim * math.log(2)
        divided by 2: You divided by 2. One bit is log 2 nats.
            math.log(2) -> 2
        to base 10: You divided by the logarithm of 10. Bits are to base 2.
            math.log(2) -> math.log(10)
        logarithm once more: log_prob is the logarithm already. You took it once more.
            - log_prob -> - torch.log(log_prob.abs())
            - log_prob -> - log_prob.exp()
        averaged over the batch: You averaged over the batch. Each image has a score of its own.
            return nats / -> return nats.mean() /
        one level too few: L is the number of levels. You took the largest level, L - 1.
            math.log(levels) -> math.log(levels - 1)
    """),
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
    number="8.2",
    title="the logit's log-det",
    returns=("log|det J|",),
    cases=_pixels,
    truth=_logit_log_det_by_autograd,
    answer=logit_log_det,
    reasoning=r"Each pixel is mapped by itself, so $J$ is diagonal. Its entries are $dy/dx = (dy/dp)(dp/dx)$ with "
    r"$dy/dp = 1 / (p (1 - p))$ and $dp/dx = 1 - 2\alpha$. All are positive: the log-det is the sum of their "
    r"logarithms over the pixels of an image.",
    hints=(
        r"Compute $p = \alpha + (1 - 2\alpha)\,x$ first. It has the shape of x.",
        r"The slope of the logit is $1 / (p (1 - p))$. By the chain rule it is multiplied by $dp/dx$.",
        "One slope for each pixel: take logarithms, then add up over the last dimension.",
    ),
    misconceptions=slips(r"""
        alpha left out: You took the logit of x itself. It is taken of p, into which alpha enters.
            p = alpha + (1 - 2 * alpha) * x\n    slope = (1 - 2 * alpha) / -> p = x\n    slope = 1 /
        slope of p forgotten: You have dy/dp. The chain rule goes on: how fast does p move when x does?
            slope = (1 - 2 * alpha) / -> slope = 1 /
        sign flipped: The sign is flipped: this is the log-det of the way back, from y to x.
            return torch -> return -torch
        slope upside down: That is one over the slope. The logit is steep where p (1 - p) is small.
            (1 - 2 * alpha) / (p * (1 - p)) -> (1 - 2 * alpha) * (p * (1 - p))
        at the output: You put the logit y where p belongs. The slope is taken at p, which comes from the input x.
            x\n    slope -> x\n    p = torch.logit(p)\n    slope
        the logit itself: That is the logit, summed. Its slope is asked for.
            torch.log(slope) -> torch.logit(p)
        not summed: That is one number per pixel. The determinant of a diagonal matrix is the product of all entries,
            so an image has one log-det.
            .sum(-1) ->
        summed over the batch: You summed over the batch. Each image has a log-determinant of its own.
            .sum(-1) -> .sum()
        averaged: You took the mean over the pixels. The logarithm of a product is the *sum* of the logarithms.
            .sum(-1) -> .mean(-1)
        no logarithm: That is the product of the slopes, or their sum. Asked for is the sum of their logarithms.
            torch.log(slope).sum(-1) -> slope.prod(-1)
            torch.log(slope).sum(-1) -> slope.sum(-1)
        slope of the sigmoid: You took the slope of the sigmoid. The logit is its inverse, and has one over that
            slope.
            (1 - 2 * alpha) / (p * (1 - p)) -> (1 - 2 * alpha) * torch.sigmoid(p) * (1 - torch.sigmoid(p))
        alpha at one end: Your p goes from alpha to 1, as the paper writes it. Here it goes from alpha to 1 - alpha:
            that keeps the logit of a full pixel finite as well.
            alpha + (1 - 2 * alpha) * x\n    slope = (1 - 2 * alpha) ->
            alpha + (1 - alpha) * x\n    slope = (1 - alpha)
        alpha once in the slope: p moves by 1 - 2 alpha when x moves by 1: alpha is cut off at both ends.
            slope = (1 - 2 * alpha) -> slope = (1 - alpha)
        one factor for all pixels: The slope of p is counted once. Each pixel has it.
            slope = (1 - 2 * alpha) / -> slope = 1 / ;; .sum(-1) -> .sum(-1) + math.log(1 - 2 * alpha)
        p at one end only: In the slope stands p, or 1 - p, alone. The slope of the logit is 1 / (p (1 - p)).
            (p * (1 - p)) -> p
            (p * (1 - p)) -> (1 - p)
        x in place of p: p is mixed from x and alpha, and you put x itself into the slope.
            (p * (1 - p)) -> (x * (1 - x))
    """),
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
    upper, lower = x[:, :, 0::2], x[:, :, 1::2]  # rows 0, 2, 4, ... and rows 1, 3, 5, ...
    return torch.cat([upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]], dim=1)


squeeze = Exercise(
    number="8.3",
    title="squeeze",
    returns=("y",),
    cases=_wide_images,
    truth=_squeezed,
    answer=squeeze_images,
    reasoning="`x[:, :, 0::2, 1::2]` takes the even rows and the odd columns: the upper right pixel of every square at "
    "once, in all channels. The four such images stand one behind the other, as channels. Nothing is computed.",
    hints=(
        "`x[:, :, 0::2, 0::2]` is an image of half the height and width. Which pixel of each square does it hold?",
        "There are four such slices, with steps of 2 that begin at 0 or 1. Join them along the channels, `dim=1`.",
        "The order: upper left, upper right, lower left, lower right. A row begins at the first index, a column at the "
        "second.",
    ),
    misconceptions=slips(r"""
        plain reshape: A plain reshape only cuts the list of numbers anew: your channels hold stripes of the image,
            and not the four pixels of a square.
            return torch.cat([upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]], dim=1) ->
            return x.reshape(len(x), 4 * x.shape[1], x.shape[2] // 2, x.shape[3] // 2)
        columns before rows: Upper right and lower left are swapped. The squares are read row by row.
            upper[..., 1::2], lower[..., 0::2] -> lower[..., 0::2], upper[..., 1::2]
        another order of the places: The right slices, in another order. They are read row by row: upper left, upper
            right, lower left, lower right.
            upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2] ->
            lower[..., 1::2], lower[..., 0::2], upper[..., 1::2], upper[..., 0::2]
            upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2] ->
            upper[..., 0::2], lower[..., 1::2], upper[..., 1::2], lower[..., 0::2]
            upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2] ->
            lower[..., 0::2], lower[..., 1::2], upper[..., 0::2], upper[..., 1::2]
            upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2] ->
            upper[..., 1::2], upper[..., 0::2], lower[..., 1::2], lower[..., 0::2]
        one place twice: One place of the squares is there twice, and another is missing.
            lower[..., 1::2]] -> lower[..., 0::2]]
            upper[..., 1::2], lower -> upper[..., 0::2], lower
            lower = x[:, :, 0::2], x[:, :, 1::2] -> lower = x[:, :, 0::2], x[:, :, 0::2]
        channel by channel: The right numbers, in another order: you keep the four places of each channel together.
            Asked for is place by place, and in each place all channels.
            return torch.cat([upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]], dim=1) ->
            return torch.nn.functional.pixel_unshuffle(x, 2)
        channels last: Your channels stand last. Images are (B, C, H, W) here, before and after.
            dim=1) -> dim=1).permute(0, 2, 3, 1)
        joined along another dimension: You joined the four along another dimension. They become channels: `dim=1`.
            dim=1 -> dim=0
            dim=1 -> dim=2
            dim=1 -> dim=3
        quarters of the image: You cut the whole image into its four quarters. It is each square of 2 x 2 pixels that
            is taken apart.
            upper, lower = x[:, :, 0::2], x[:, :, 1::2] -> upper, lower = x.chunk(2, dim=2) ;;
            upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2] ->
            *upper.chunk(2, dim=3), *lower.chunk(2, dim=3)
        average of the squares: You averaged the squares. Squeezing loses nothing: each place becomes a channel of its
            own.
            return torch.cat([upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]], dim=1) ->
            return (upper[..., 0::2] + upper[..., 1::2] + lower[..., 0::2] + lower[..., 1::2]) / 4
            return torch.cat([upper[..., 0::2], upper[..., 1::2], lower[..., 0::2], lower[..., 1::2]], dim=1) ->
            return ((upper[..., 0::2] + upper[..., 1::2] + lower[..., 0::2] + lower[..., 1::2]) / 4).repeat(1, 4, 1, 1)
        height and width swapped: Your images lie on their side: height and width are swapped.
            dim=1) -> dim=1).mT
    """),
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
    number="8.4",
    title="unsqueeze",
    returns=("x",),
    cases=_deep_images,
    truth=_unsqueezed,
    answer=unsqueeze_images,
    reasoning="The first quarter of the channels is the upper left pixel of every square. It goes where squeezing took "
    "it from: to the even rows and the even columns of an image twice as high and wide. A slice can be written to as "
    "well as read.",
    hints=(
        "`y.chunk(4, dim=1)` gives four groups of channels. Which place of the squares does each hold?",
        "Make an empty image, `y.new_empty(B, C // 4, 2 * H, 2 * W)`, and write the groups into slices of it.",
        "The slices are those of squeezing: `x[:, :, 0::2, 1::2] = ...` is the upper right place.",
    ),
    misconceptions=slips(r"""
        plain reshape: A plain reshape only cuts the list of numbers anew. The four pixels of a square come from four
            channels.
            return x -> return y.reshape(x.shape)
        columns before rows: Upper right and lower left are swapped: this undoes a squeeze that reads column by
            column.
            upper_right, lower_left, -> lower_left, upper_right,
        another order of the places: The four groups go to other places. The first is the upper left of each square,
            then upper right, lower left, lower right.
            upper_left, upper_right, lower_left, lower_right -> lower_right, lower_left, upper_right, upper_left
            upper_left, upper_right, lower_left, lower_right -> lower_left, lower_right, upper_left, upper_right
            upper_left, upper_right, lower_left, lower_right -> upper_right, upper_left, lower_right, lower_left
            upper_left, upper_right, lower_left, lower_right -> upper_left, lower_right, upper_right, lower_left
        one group twice: One group of channels is there twice, and another is missing.
            = lower_right -> = lower_left
            = upper_right -> = upper_left
            = lower_left -> = upper_right
        channel by channel: You take the four places of a channel from neighbouring channels. Squeezing put them a
            quarter of all channels apart.
            return x -> return torch.nn.functional.pixel_shuffle(y, 2)
        channels last: Your channels stand last. Images are (B, C, H, W) here, before and after.
            return x -> return x.permute(0, 2, 3, 1)
        quarters of the image: You set four small images side by side. Their pixels belong between one another.
            x[:, :, 0::2, 0::2] -> x[:, :, :height, :width] ;;
            x[:, :, 0::2, 1::2] -> x[:, :, :height, width:] ;;
            x[:, :, 1::2, 0::2] -> x[:, :, height:, :width] ;;
            x[:, :, 1::2, 1::2] -> x[:, :, height:, width:]
        height and width swapped: Your images lie on their side: height and width are swapped.
            return x -> return x.mT
        each pixel four times: You repeated pixels. Each of the four places comes from channels of its own.
            upper_right\n    x -> upper_left\n    x ;; = lower_left -> = upper_left ;; = lower_right -> = upper_left
            return x -> return y[:, : channels // 4].repeat_interleave(2, 2).repeat_interleave(2, 3)
    """),
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
    z1 = h[:, :half]  # leaves
    z2, second_ladj = second(h[:, half:])  # goes on
    z = torch.cat([z1, z2], dim=-1)
    return Normal(0.0, 1.0).log_prob(z).sum(-1) + first_ladj + second_ladj


factor_out = Exercise(
    number="8.5",
    title="a density through two scales",
    returns=("log q(x)",),
    cases=_two_scales,
    truth=_by_the_whole_jacobian,
    answer=two_scale_log_prob,
    reasoning=r"Factoring out is a second layer that leaves half of its input alone: its Jacobian is block diagonal, "
    r"an identity and the second scale's own, and its log-det is the latter's. So the two log-dets add. What left is a "
    r"latent like any other: $z$ is $z^{(1)}$ and $z^{(2)}$ together, and the base's density is taken of all of it.",
    hints=(
        "Call `first` on x. Cut what comes in two: `h[:, :half]` leaves, `h[:, half:]` goes on into `second`.",
        r"Which numbers make up $z$? All $D$ of them are latent in the end, and each has its $\log p$.",
        "Both maps go from x to z, the density's way: their log-dets are added, once each.",
    ),
    misconceptions=slips(r"""
        what left is ignored: The half that was factored out has no density in your sum. It is a part of z, too.
            z = torch.cat([z1, z2], dim=-1) -> z = z2
        only the last scale: That is the density of h's second half under the last scale. The first scale's log-det
            and its latent are missing.
            z = torch.cat([z1, z2], dim=-1) -> z = z2 ;; first_ladj + second_ladj -> second_ladj
        what went on is ignored: The half that went on has no density in your sum. It is a part of z, too.
            z = torch.cat([z1, z2], dim=-1) -> z = z1
        sign flipped: You subtract the log-dets. These maps go from x to z, and there they are added.
            + first_ladj + second_ladj -> - first_ladj - second_ladj
        one log-det subtracted: One of the log-dets has the wrong sign. Both maps go from x to z, and there log-dets
            are added.
            + first_ladj -> - first_ladj
            + second_ladj -> - second_ladj
        first log-det left out: The first scale's log-det is missing. It moves all of the numbers, those that leave as
            well.
            + first_ladj ->
        second log-det left out: The second scale's log-det is missing. It moves half of the numbers, and space with
            them.
            + second_ladj ->
        both log-dets left out: Both log-dets are missing: the maps stretch space.
            + first_ladj + second_ladj ->
        first log-det halved: You took half of the first log-det. All of it counts: the first scale moves all numbers.
            + first_ladj -> + first_ladj / 2
        density at h: You took the density of h. Its second half went on, and became z2.
            torch.cat([z1, z2], dim=-1) -> h
        density at x: You took the density of x. The base is the density of z.
            torch.cat([z1, z2], dim=-1) -> x
        second scale of x: The second scale was handed the second half of x. It gets that of h.
            second(h[ -> second(x[
        second log-det of all dimensions: You took the second scale's log-det for all dimensions. It acts on those
            that went on; for the others it is the identity, whose log-det is 0.
            + second_ladj -> + second(h)[1]
        not split: You sent all of h through the second scale. Half of it leaves before.
            z1 = h[:, :half] -> z1 = h[:, :0] ;; second(h[:, half:]) -> second(h)
        wrong half: The wrong half went on: the first half leaves, the second goes on.
            z1 = h[:, :half] -> z1 = h[:, half:] ;; second(h[:, half:]) -> second(h[:, :half])
        split elsewhere: The first D // 2 numbers leave. You cut elsewhere.
            x.shape[-1] // 2 -> (x.shape[-1] + 1) // 2
        every other number: You took every other number. The first half leaves.
            z1 = h[:, :half] -> z1 = h[:, 0::2] ;; second(h[:, half:]) -> second(h[:, 1::2])
        summed over the batch: You summed over the batch. Each point has a log-density of its own.
            .sum(-1) -> .sum()
        averaged: You averaged over the dimensions. Independent log-densities add.
            .sum(-1) -> .mean(-1)
        no constant: The constant of the normal density is missing, half of log 2 pi in each dimension.
            Normal(0.0, 1.0).log_prob(z).sum(-1) -> (-0.5 * z**2).sum(-1)
        the density, not its logarithm: That is the density. Its logarithm is asked for.
            return Normal(0.0, 1.0).log_prob(z).sum(-1) + first_ladj + second_ladj ->
            return (Normal(0.0, 1.0).log_prob(z).sum(-1) + first_ladj + second_ladj).exp()
    """),
)
