"""RealNVP on images: convolutional couplings at several scales, and dimensions that are factored out on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .checks import check_sizes
from .flow import Flow, Stack
from .images import Squeeze, channel_mask, checkerboard_mask
from .pixels import Logit
from .realnvp import AffineCoupling

__all__ = ["ConvConditioner", "FactorOut", "ImageRealNVP"]


class ConvConditioner(nn.Module):
    r"""The network of a coupling between pixels: from the image b * x it tells s, before its tanh, and t.

    The dimensions that the mask b passes are laid out as an image, with zeros where the others were. A small residual
    network of convolutions goes over it and gives two numbers for each dimension, of which those of the transformed
    ones are taken. So the same weights serve at each place; only the last bias is each dimension's own, since
    a pixel in the middle of a digit and one at its border differ already on average.

    At first all its outputs are zero: an :class:`AffineCoupling` with it starts as the identity.

    Args:
        mask: (C * H * W,) boolean, that of the coupling.
        shape: (C, H, W).
        hidden: the channels of the hidden images.
        blocks: residual blocks, each h + conv(silu(h)) with a convolution of 3 x 3. The image is brought in by one of
            3 x 3 and out by one of 1 x 1, so a pixel is told of those up to ``blocks + 1`` rows and columns away.

    Raises:
        ValueError: if the mask is no boolean vector of C * H * W entries, or a size is not a whole number from 1 up.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), sections 3.4 and 4.1, https://arxiv.org/abs/1605.08803

    Example:
        >>> mask = checkerboard_mask(1, 4, 4)
        >>> layer = AffineCoupling(mask, conditioner=ConvConditioner(mask, (1, 4, 4)))
        >>> x = torch.randn(5, 16)
        >>> torch.equal(layer(x), x)
        True
    """

    def __init__(self, mask: Tensor, shape: Sequence[int], hidden: int = 24, blocks: int = 3) -> None:
        super().__init__()
        channels, height, width = self.shape = _checked_shape(shape)
        check_sizes(hidden=hidden, blocks=blocks)
        mask = torch.as_tensor(mask)
        if mask.dtype != torch.bool or mask.shape != (channels * height * width,):
            raise ValueError(
                f"mask must be a boolean vector of {channels} * {height} * {width} entries for images of this shape, "
                f"but is {mask.dtype} of shape {tuple(mask.shape)}"
            )
        # Where each dimension of the image is found in [x_A, 0]: the zero, which stands last, for those not passed.
        self.register_buffer("source", torch.where(mask, mask.cumsum(0) - 1, mask.sum()))
        self.register_buffer("changed", (~mask).nonzero().squeeze(-1))
        self.first = nn.Conv2d(channels, hidden, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=1) for _ in range(blocks))
        self.last = nn.Conv2d(hidden, 2 * channels, 1, bias=False)
        nn.init.zeros_(self.last.weight)
        self.bias = nn.Parameter(torch.zeros(2 * len(self.changed)))

    def forward(self, kept: Tensor) -> Tensor:
        """s before its tanh, and t, one after the other (..., 2 (D - d)), from x_A (..., d)."""
        padded = torch.cat([kept, torch.zeros_like(kept[..., :1])], dim=-1)
        h = self.first(padded[..., self.source].reshape(-1, *self.shape))
        for convolution in self.blocks:
            h = h + convolution(silu(h))
        images = self.last(silu(h)).reshape(*kept.shape[:-1], 2, len(self.source))
        return images[..., self.changed].flatten(-2) + self.bias


class FactorOut(Flow):
    r"""A flow of some dimensions, while the others pass: these are factored out, and nothing more happens to them.

    With x_A the dimensions that the mask passes and x_B the rest, in their order,

        y_A = x_A,    y_B = flow(x_B).

    The Jacobian is block diagonal, an identity and the flow's own, so the log-determinant is that of the flow alone.

    Args:
        mask: (D,) boolean, True = passes through unchanged. At least one True and one False.
        flow: of as many dimensions as the mask has False entries.

    Raises:
        ValueError: if the mask is not a boolean vector, or passes everything or nothing; if ``flow`` is no ``Flow``, or
            one of another dimension.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 3.6, equations 14 to 16,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> from nfteach.flows import Permutation
        >>> FactorOut([False, True, False, True], Permutation([1, 0]))(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([3., 2., 1., 4.])
    """

    formula = r"\log|\det J| = \log|\det I| + \log|\det J_{\mathrm{flow}}(x_B)|"

    def __init__(self, mask: Tensor | Sequence[bool], flow: Flow) -> None:
        mask = torch.as_tensor(mask)
        if mask.dtype != torch.bool or mask.dim() != 1:
            raise ValueError(f"mask must be a boolean vector (D,), but is {mask.dtype} of shape {tuple(mask.shape)}")
        if mask.all() or not mask.any():
            what = "True: nothing is left for the flow" if mask.all() else "False: nothing is factored out"
            raise ValueError(f"mask must hold both True (passes unchanged) and False (the flow's), but is all {what}")
        if not isinstance(flow, Flow):
            raise ValueError(f"flow must be a Flow, but is a {type(flow).__name__}")
        if flow.event_shape != ((~mask).sum(),):
            raise ValueError(
                f"flow must take the {int((~mask).sum())} dimensions that the mask does not pass, "
                f"but takes events of shape {tuple(flow.event_shape)}"
            )
        super().__init__(len(mask))
        self.flow = flow
        self.register_buffer("mask", mask.clone())
        self.register_buffer("kept", mask.nonzero().squeeze(-1))
        self.register_buffer("changed", (~mask).nonzero().squeeze(-1))
        self.register_buffer("joined", torch.cat([self.kept, self.changed]).argsort())

    def extra_repr(self) -> str:
        return f"{len(self.kept)} of {self.dim} pass"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.check_input(x)
        y_b, ladj = self.flow.call_and_ladj(x[..., self.changed])
        return torch.cat([x[..., self.kept], y_b], dim=-1)[..., self.joined], ladj

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self.check_input(y)
        x_b, ladj = self.flow.inverse_and_ladj(y[..., self.changed])
        return torch.cat([y[..., self.kept], x_b], dim=-1)[..., self.joined], ladj

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        x = self.check_input(x)
        return {"x_A": x[..., self.kept]} | self.flow.terms(x[..., self.changed])


class ImageRealNVP(Stack):
    r"""The multi-scale architecture: from z to images with pixels between 0 and 1. Events are flat, (C * H * W,).

    Read from x to z, as the paper draws it: the logit makes pixels unbounded. Then at each scale but the last come
    couplings with checkerboard masks, a squeeze, couplings with channel masks, and the first half of the channels
    leaves as z^(l), which nothing touches any more. At the last scale come checkerboard couplings alone, one more of
    them, and what is left is z^(L). The layers of this stack are these, last to first.

    Half of the dimensions are thus through after the first scale, three quarters after the second: cheaper than taking
    all through all layers, and the likelihood gives each layer's weights a signal that no other layer stands
    in the way of. The deeper a latent goes, the wider is what it stands for in the image.

    Args:
        shape: (C, H, W) of an image.
        scales: L.
        couplings: of each kind at each scale; the last has one more, of its one kind. (The paper has 3, and so 4.)
        hidden: the channels of the hidden images of each coupling's network.
        blocks: the residual blocks of each network.
        alpha: of the :class:`Logit`, the last layer: x is a dequantised image, in [0, 1). ``flow[:-1]`` is without it.

    Attributes:
        scale_of: (D,), the scale l = 1, 2, ... L at which each latent leaves: z is z^(1), z^(2), ... z^(L) in a row.
        place_of: (D,), the dimension of x at whose place each latent stands: in a flow that has not been trained,
            latent i alone moves x[place_of[i]].
        latent_shapes: the shape (C_l, H_l, W_l) of each z^(l).

    Raises:
        ValueError: if ``shape`` is not three whole numbers from 1 up, one of the other sizes is not one, or an image
            cannot be halved so often: H and W must be multiples of 2^(L - 1), and the last scale have 2 pixels.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), sections 3.4 to 3.6 and 4.1,
        https://arxiv.org/abs/1605.08803

    Example:
        >>> from nfteach.flows import FlowDistribution
        >>> flow = ImageRealNVP((1, 8, 8))
        >>> flow.latent_shapes
        [(2, 4, 4), (2, 4, 4)]
        >>> base = torch.distributions.Normal(torch.zeros(64), torch.ones(64))
        >>> q = FlowDistribution(base, flow)
        >>> q.log_prob(q.sample((10,))).shape
        torch.Size([10])
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        scales: int = 2,
        couplings: int = 2,
        hidden: int = 24,
        blocks: int = 3,
        *,
        alpha: float = 0.05,
    ) -> None:
        shape = channels, height, width = _checked_shape(shape)
        check_sizes(scales=scales, couplings=couplings)
        halved = 2 ** (scales - 1)
        if height % halved or width % halved or height * width < 2 * halved**2:
            raise ValueError(
                f"shape: {scales} scales halve height and width {scales - 1} times, so both must be multiples of "
                f"{halved} and at least 2 pixels be left, but they are {height} and {width}; try fewer scales"
            )
        dim = channels * height * width
        down: list[Flow] = [Logit(dim, alpha).inv]
        scale_of, place_of = torch.full((dim,), scales), torch.arange(dim)
        latent_shapes = []

        def add(layer: Flow) -> None:
            """Put a layer of the dimensions that are still there, which are the last ones, on top of the others."""
            factored_out = torch.arange(dim) < dim - layer.dim
            down.append(FactorOut(factored_out, layer) if factored_out.any() else layer)

        def add_couplings(make_mask: Callable[..., Tensor], count: int) -> None:
            for k in range(count):
                mask = make_mask(channels, height, width, flip=k % 2 == 1)
                network = ConvConditioner(mask, (channels, height, width), hidden, blocks)
                add(AffineCoupling(mask, conditioner=network))

        for scale in range(1, scales):
            add_couplings(checkerboard_mask, couplings)
            squeezing = Squeeze(channels, height, width)
            add(squeezing.inv)
            place_of[dim - squeezing.dim :] = place_of[dim - squeezing.dim :][squeezing.ordering]
            channels, height, width = squeezing.shape_out
            add_couplings(channel_mask, couplings)
            channels //= 2
            latent_shapes.append((channels, height, width))
            left = channels * height * width
            scale_of[dim - 2 * left : dim - left] = scale
        add_couplings(checkerboard_mask, couplings + 1)
        super().__init__(*reversed(down))
        self.shape = shape
        self.latent_shapes = [*latent_shapes, (channels, height, width)]
        # Known from the arguments, so not a part of the state; buffers so that they move to where the flow moves.
        self.register_buffer("scale_of", scale_of, persistent=False)
        self.register_buffer("place_of", place_of, persistent=False)


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        channels, height, width = shape
    except (TypeError, ValueError):
        raise ValueError(f"shape must be (C, H, W), such as (1, 8, 8), but is {shape!r}") from None
    check_sizes(channels=channels, height=height, width=width)
    return channels, height, width
