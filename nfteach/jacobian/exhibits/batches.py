"""Exhibits that confuse one sample with its batch, or a sample with its dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .exhibit import Exhibit, Layer, agree, log_abs_det, normal

__all__ = ["BATCHES", "BatchNorm", "Coupling", "SinhArcsinh"]


class Coupling(Layer):
    """y = (x_a, x_b exp(s(x_a)) + t(x_a)): an affine coupling layer (Dinh et al. 2017)."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.to_s = nn.Parameter(normal(2, 3, seed=21))
        self.to_t = nn.Parameter(normal(2, 3, seed=22))

    def s_and_t(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(kept @ self.to_s), kept @ self.to_t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, :2], x[:, 2:]
        s, t = self.s_and_t(kept)
        log_det = s.sum(-1) if self.repaired else s.sum()
        return torch.cat([kept, changed * s.exp() + t], 1), log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = y[:, :2], y[:, 2:]
        s, t = self.s_and_t(kept)
        return torch.cat([kept, (changed - t) * (-s).exp()], 1), -s.sum(-1)


def one_sample(repaired: bool = False) -> bool:
    """The log-det against autograd's, at one point; and the log-density of a batch has one value per sample."""
    layer, x = Coupling(repaired=repaired), normal(6, 5, seed=23)
    y, log_det = layer(x)
    log_prob = torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(-1) + log_det
    return log_prob.shape == (6,) and agree(layer(x[:1])[1], log_abs_det(layer, x[:1]))


class SinhArcsinh(Layer):
    """y = sinh(a asinh(x) + b) in each dimension: a for the tails, b for the skew (Jones & Pewsey 2009)."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.log_a = nn.Parameter(torch.tensor([0.3, -0.4, 0.1]))
        self.b = nn.Parameter(torch.tensor([0.5, 0.0, -0.7]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.log_a.exp() * x.asinh() + self.b
        each = self.log_a + inner.cosh().log() - 0.5 * (x**2).log1p()
        log_det = each.sum(-1) if self.repaired else each
        return inner.sinh(), log_det

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        inner = (y.asinh() - self.b) * (-self.log_a).exp()
        return inner.sinh(), (inner.cosh().log() - 0.5 * (y**2).log1p() - self.log_a).sum(-1)


def total_of_the_batch(repaired: bool = False) -> bool:
    """The log-dets of the whole batch, added up, against those of autograd, added up."""
    layer, x = SinhArcsinh(repaired=repaired), normal(6, 3, seed=24)
    return agree(layer(x)[1].sum(), log_abs_det(layer, x).sum())


class BatchNorm(Layer):
    """y = (x - mean) / sqrt(var + eps) in each dimension, with log-det -1/2 sum log(var + eps)."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.register_buffer("mean", torch.tensor([0.5, -1.0, 0.0]))
        self.register_buffer("var", torch.tensor([0.6, 1.8, 1.2]))

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.repaired:
            mean, var = self.mean, self.var
        else:
            mean, var = x.mean(0), x.var(0, unbiased=False)
        return mean, var + 1e-5

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = self.statistics(x)
        return (x - mean) / var.sqrt(), (-0.5 * var.log().sum()).expand(len(x))

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        var = self.var + 1e-5
        return y * var.sqrt() + self.mean, (0.5 * var.log().sum()).expand(len(y))


def from_row_to_row(repaired: bool = False) -> bool:
    """The log-det against the slopes from one row of a batch to the next, as if rows were so many single points."""
    layer, x = BatchNorm(repaired=repaired), normal(6, 3, seed=25)
    y, log_det = layer(x)
    slopes = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
    return agree(log_det[1:], slopes.abs().log().sum(-1), tolerance=1e-3)


BATCHES = (
    Exhibit(
        name="summed-over-batch",
        title="One log-det for the whole batch",
        story=(
            "sum() adds up the log-dets of all samples, where sum(-1) adds up those of one sample's dimensions. The "
            "number is then added to the log-density of every sample, and grows with the batch."
        ),
        reported="several libraries",
        missed="One number broadcasts against any batch without a word, and at one sample both sums agree.",
        code="log-det-summed-over-batch",
        layer=Coupling,
        x=normal(6, 5, seed=26),
        innocent=one_sample,
    ),
    Exhibit(
        name="per-dimension",
        title="One log-det for each dimension",
        story=(
            "The sum over the dimensions is missing, so the log-det comes as (B, D). It must be (B,) before it is "
            "added to a log-density; a mean taken later hides the slip and divides the log-det by D."
        ),
        reported="several libraries; in torch and Pyro it is the convention of transforms whose event_dim is 0",
        missed="(B, D) broadcasts against (B, 1) without a word, and the total over the batch is right.",
        code="log-det-per-dimension",
        layer=SinhArcsinh,
        x=normal(6, 3, seed=27),
        innocent=total_of_the_batch,
    ),
    Exhibit(
        name="batch-statistics",
        title="Samples that move each other",
        story=(
            "Mean and variance are those of the batch, as in training mode. So each output depends on all samples, and "
            "the log-det, which takes the statistics for constants, is that of no map of single samples."
        ),
        reported="nflows, normflows",
        missed="The test took the rows of a batch for independent points.",
        code="samples-coupled",
        layer=BatchNorm,
        x=normal(6, 3, seed=28),
        innocent=from_row_to_row,
    ),
)
