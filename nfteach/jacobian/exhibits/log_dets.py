"""Exhibits whose log-det is wrong: in one direction, on one branch, away from initialisation, or for images only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .exhibit import Exhibit, Layer, agree, log_abs_det, normal

__all__ = ["LOG_DETS", "Autoregressive", "ImageNorm", "LeakyPlanar", "Sylvester"]


class Autoregressive(Layer):
    """y_i = (x_i - mu_i) exp(-alpha_i), where mu_i and alpha_i depend on x_1 ... x_(i-1). Starts as the identity."""

    def __init__(self, dim: int = 4, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.to_mu = nn.Parameter(torch.zeros(dim, dim))
        self.to_alpha = nn.Parameter(torch.zeros(dim, dim))

    def mu_and_alpha(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x @ self.to_mu.triu(1), torch.tanh(x @ self.to_alpha.triu(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, alpha = self.mu_and_alpha(x)
        return (x - mu) * (-alpha).exp(), -alpha.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.zeros_like(y)
        for _ in range(y.shape[-1]):  # each pass sets one more dimension right
            mu, alpha = self.mu_and_alpha(x)
            x = y * alpha.exp() + mu
        if self.repaired:
            return x, alpha.sum(-1)
        return x, -alpha.sum(-1)


def at_log_det_zero(repaired: bool = False) -> bool:
    """The two log-dets must cancel. The layer is a fresh one, and so the identity: 0 + 0 = 0."""
    layer, x = Autoregressive(repaired=repaired), normal(6, 4, seed=11)
    y, log_det = layer(x)
    return agree(log_det + layer.inverse(y)[1], 0.0)


class Sylvester(Layer):
    """y = x + h(x B + b) A for rows x, with h = tanh and A = C B^T, C diagonal and positive. Starts as the identity.

    It is the gradient of the convex function |x|^2 / 2 + sum C log cosh(x B + b), and so invertible for any weights.
    """

    def __init__(self, dim: int = 5, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.B = nn.Parameter(torch.zeros(dim, dim))
        self.b = nn.Parameter(0.1 * normal(dim, seed=12))
        self.c = nn.Parameter(torch.full((dim,), 5.0))

    def A(self) -> Tensor:
        return softplus(self.c)[:, None] * self.B.T

    def log_det(self, h: Tensor) -> Tensor:
        # Sylvester's identity. For columns it is det(I + A h' B) = det(I + h' B A), but here the points are rows.
        product = self.A() @ self.B if self.repaired else self.B @ self.A()
        return torch.linalg.slogdet(torch.eye(len(product)).to(h) + (1 - h**2)[:, :, None] * product)[1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(x @ self.B + self.b)
        return x + h @ self.A(), self.log_det(h)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, A = y, self.A()
        steepest = torch.linalg.matrix_norm(A, 2) * torch.linalg.matrix_norm(self.B, 2)
        for _ in range(500):  # downhill in the convex function, whose second derivatives lie in 1 ... 1 + steepest
            h = torch.tanh(x @ self.B + self.b)
            x = x - (x + h @ A - y) * 2 / (2 + steepest)
        return x, -self.log_det(h)


def at_initialisation(repaired: bool = False) -> bool:
    """The log-det of a fresh layer against autograd's, to a hundredth of a nat."""
    layer, x = Sylvester(repaired=repaired), normal(6, 5, seed=13)
    return agree(layer(x)[1], log_abs_det(layer, x), tolerance=1e-2)


class LeakyPlanar(Layer):
    """f(z) = z + u h(w.z + b), h a leaky ReLU: two linear maps that meet in a plane, so the inverse is two as well."""

    negative_slope = 0.2

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.u = nn.Parameter(torch.tensor([1.5, -1.0, 0.5]))
        self.w = nn.Parameter(torch.tensor([0.8, -0.6, 0.4]))
        self.b = nn.Parameter(torch.tensor(-0.2))

    def slope(self, a: Tensor) -> Tensor:
        return torch.where(a < 0, self.negative_slope, torch.ones_like(a))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        a = z @ self.w + self.b
        s = self.slope(a)
        return z + (s * a)[:, None] * self.u, (1 + s * (self.u @ self.w)).log()

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        a = y @ self.w + self.b  # has the sign of w.z + b, and so tells the side
        s = self.slope(a)
        us = s[:, None] * self.u
        stretch = 1 + us @ self.w
        if self.repaired:
            log_det = -(1 + us @ self.w).log()
        else:
            psi = s[:, None] * self.w
            log_det = -(1 + (us * psi).sum(-1)).log()
        return y - (a / stretch)[:, None] * us, log_det


def on_one_side(repaired: bool = False) -> bool:
    """The two log-dets must cancel, at points that all lie where the activation is positive."""
    layer, x = LeakyPlanar(repaired=repaired), torch.tensor([[1.0, 0.5, 0.2], [2.0, -1.0, 0.0], [0.3, -0.4, 1.0]])
    y, log_det = layer(x)
    return agree(log_det, log_abs_det(layer, x)) and agree(log_det + layer.inverse(y)[1], 0.0)


class ImageNorm(Layer):
    """Batch normalisation of pictures (B, C, H, W) with stored statistics, one mean, variance and gain per channel."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__(repaired=repaired)
        self.register_buffer("mean", torch.tensor([0.4, -1.2]))
        self.register_buffer("var", torch.tensor([0.3, 2.5]))
        self.log_gain = nn.Parameter(torch.tensor([0.2, 0.5]))

    def log_scale(self) -> Tensor:
        return self.log_gain - 0.5 * (self.var + 1e-5).log()

    def log_det(self, x: Tensor) -> Tensor:
        one_pixel = self.log_scale().sum()
        total = one_pixel * x.shape[-2] * x.shape[-1] if self.repaired else one_pixel
        return total.expand(len(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x - self.mean[:, None, None]) * self.log_scale().exp()[:, None, None], self.log_det(x)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return y / self.log_scale().exp()[:, None, None] + self.mean[:, None, None], -self.log_det(y)


def on_vectors(repaired: bool = False) -> bool:
    """The log-det against autograd's, for vectors: pictures of one pixel."""
    layer, x = ImageNorm(repaired=repaired), normal(6, 2, 1, 1, seed=14)
    return agree(layer(x)[1], log_abs_det(layer, x))


LOG_DETS = (
    Exhibit(
        name="inverse-sign",
        title="The sign of the log-det on the way back",
        story=(
            "The way there divides by exp(alpha), so its log-det is -sum alpha; the way back multiplies, so its "
            "log-det is +sum alpha. The line was copied with its minus."
        ),
        reported="normflows 27, flowjax 208, flowtorch 100, ikostrikov/pytorch-flows 16",
        missed="The test ran at log-det 0, where a sign makes no difference, or compared the code with itself.",
        code="log-det-sign",
        layer=Autoregressive,
        x=normal(6, 4, seed=15),
        innocent=at_log_det_zero,
        perturb=0.5,
    ),
    Exhibit(
        name="transposed-product",
        title="A product in the wrong order",
        story=(
            "The paper multiplies columns, the code multiplies rows, so the product B A turns into A B; the log-det "
            "kept the order of the paper. While h' is nearly 1, which it is for small weights, both agree."
        ),
        reported="a Sylvester layer in a current release",
        missed="The test ran at initialisation, with an absolute tolerance.",
        code="log-det-wrong",
        layer=Sylvester,
        x=normal(8, 5, seed=16),
        innocent=at_initialisation,
        perturb=0.5,
    ),
    Exhibit(
        name="one-branch",
        title="Right on one side of the plane",
        story=(
            "In the inverse's log-det the slope s of the activation is counted twice: us already holds one, psi brings "
            "another. Where s = 1 nobody can tell; on the other side s squared stands for s."
        ),
        reported="flowjax 169, 170",
        missed="All samples of the test fell on the side where the slope is 1.",
        code="log-det-wrong",
        layer=LeakyPlanar,
        x=normal(8, 3, seed=19),
        innocent=on_one_side,
    ),
    Exhibit(
        name="image-norm",
        title="One pixel's log-det for a whole picture",
        story=(
            "Each channel is scaled by its own factor at each of its H x W pixels, so the log-det is H W times the sum "
            "over the channels. The factor H W is missing."
        ),
        reported="TensorFlow Probability 238",
        missed="The test used vectors, for which H W = 1.",
        code="log-det-wrong",
        layer=ImageNorm,
        x=normal(4, 2, 3, 2, seed=18),
        innocent=on_vectors,
    ),
)
