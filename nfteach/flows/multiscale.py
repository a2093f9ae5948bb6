"""RealNVP on images: convolutional couplings at several scales, with dimensions factored out between the scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .checks import check_mask, check_sizes
from .flow import Flow, Stack
from .images import Squeeze, channel_mask, checkerboard_mask
from .pixels import Logit
from .realnvp import AffineCoupling, MaskedFlow

__all__ = ["ConvConditioner", "FactorOut", "ImageRealNVP"]


class ConvConditioner(nn.Module):
    r"""The convolutional network of a coupling between pixels: from the image b * x to s, before its tanh, and t.

    The dimensions that the mask b passes form an image, with zeros in place of the rest. A small residual network of
    convolutions computes two numbers for each dimension of this image; those of the transformed dimensions are the
    output. The weights are shared by all positions. Only the last bias is separate for each dimension, because pixels
    at the centre and at the border of a digit already differ on average.

    The output is zero at first, so an :class:`AffineCoupling` with this conditioner starts as the identity.

    With ``classes``, the network also sees the label of the image: as one more channel for each class, 1 everywhere in
    the channel of the label and 0 in those of the rest, and in the last bias, of which each class has its own.

    Args:
        mask: (C * H * W,) boolean, the mask of the coupling.
        shape: (C, H, W), the size of an image.
        hidden: the number of channels of the hidden images.
        blocks: the number of residual blocks h + conv(silu(h)), each with a 3 x 3 convolution. A 3 x 3 convolution
            precedes them and a 1 x 1 convolution follows, so the output at a pixel depends on the pixels up to
            ``blocks + 1`` rows and columns away.
        classes: the number of labels, or 0 for a network without labels.

    Raises:
        ValueError: if ``mask`` is not a boolean vector of C * H * W entries, a size is not a whole number of at
            least 1, or ``classes`` is not a whole number of at least 0.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), sections 3.4 and 4.1, https://arxiv.org/abs/1605.08803

    Example:
        >>> mask = checkerboard_mask(1, 4, 4)
        >>> layer = AffineCoupling(mask, conditioner=ConvConditioner(mask, (1, 4, 4)))
        >>> x = torch.randn(5, 16)
        >>> torch.equal(layer(x), x)
        True
    """

    def __init__(
        self, mask: Tensor, shape: Sequence[int], hidden: int = 24, blocks: int = 3, *, classes: int = 0
    ) -> None:
        super().__init__()
        channels, height, width = self.shape = _checked_shape(shape)
        check_sizes(hidden=hidden, blocks=blocks)
        self.classes = _checked_classes(classes)
        mask = check_mask(mask, channels * height * width)
        # The position of each dimension of the image in [x_A, 0]: that of the zero for the dimensions that do not pass.
        self.register_buffer("source", torch.where(mask, mask.cumsum(0) - 1, mask.sum()))
        self.register_buffer("changed", (~mask).nonzero().squeeze(-1))
        self.first = nn.Conv2d(channels + classes, hidden, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=1) for _ in range(blocks))
        self.last = nn.Conv2d(hidden, 2 * channels, 1, bias=False)
        nn.init.zeros_(self.last.weight)
        numbers = 2 * len(self.changed)
        self.bias = nn.Parameter(torch.zeros((classes, numbers) if classes else numbers))

    def forward(self, kept: Tensor, label: Tensor | None = None) -> Tensor:
        """Compute s before its tanh, then t, concatenated (..., 2 (D - d)), from x_A (..., d) and the label (...)."""
        padded = torch.cat([kept, torch.zeros_like(kept[..., :1])], dim=-1)
        images, bias = padded[..., self.source].reshape(-1, *self.shape), self.bias
        if self.classes:
            if label is None:
                raise ValueError("label must be given, because the network has classes; try flow.given(label)")
            label = label.expand(kept.shape[:-1])
            one = nn.functional.one_hot(label.reshape(-1), self.classes).to(images)
            planes = one[:, :, None, None].expand(-1, -1, *self.shape[1:])
            images, bias = torch.cat([images, planes], dim=1), bias[label]
        h = self.first(images)
        for convolution in self.blocks:
            h = h + convolution(silu(h))
        images = self.last(silu(h)).reshape(*kept.shape[:-1], 2, len(self.source))
        return images[..., self.changed].flatten(-2) + bias


class FactorOut(MaskedFlow):
    r"""A flow of some dimensions, while the rest pass unchanged: these are factored out and transformed no further.

    With x_A the dimensions that the mask passes and x_B the rest,

        y_A = x_A,    y_B = flow(x_B).

    The Jacobian is block diagonal, with an identity and the Jacobian of the flow as blocks, so the log-determinant is
    that of the flow.

    Args:
        mask: (D,) boolean, True = passes through unchanged. At least one True and one False.
        flow: a flow of as many dimensions as the mask has False entries.

    Raises:
        ValueError: if ``mask`` is not a boolean vector, or passes everything or nothing; if ``flow`` is not a ``Flow``,
            or has another dimension.

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
        super().__init__(mask)
        if not isinstance(flow, Flow):
            raise ValueError(f"flow must be a Flow, but is a {type(flow).__name__}")
        if flow.event_shape != self.changed.shape:
            raise ValueError(
                f"flow must take events of shape {tuple(self.changed.shape)}, the dimensions that the mask does not "
                f"pass, but takes events of shape {tuple(flow.event_shape)}"
            )
        self.flow = flow

    def extra_repr(self) -> str:
        return f"{len(self.kept)} of {self.dim} pass"

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x_a, x_b = self.split(self.check_input(x))
        y_b, ladj = self.flow.call_and_ladj(x_b)
        return self.join(x_a, y_b), ladj

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y_a, y_b = self.split(self.check_input(y))
        x_b, ladj = self.flow.inverse_and_ladj(y_b)
        return self.join(y_a, x_b), ladj

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        x_a, x_b = self.split(self.check_input(x))
        return {"x_A": x_a} | self.flow.terms(x_b)


class ImageRealNVP(Stack):
    r"""The multi-scale architecture, from z to images with pixels between 0 and 1. Events are flat, (C * H * W,).

    From x to z, as in the paper's figure: the logit makes the pixels unbounded. Each scale but the last applies
    couplings with checkerboard masks, a squeeze and couplings with channel masks, and then factors out the first half
    of the channels as z^(l). The last scale applies checkerboard couplings only, one more than the earlier scales; its
    output is z^(L). This stack holds the same layers in the opposite order, from z to x.

    With ``classes``, the flow depends on the label of the image: ``flow.given(label)`` is the flow for that label. The
    networks of all couplings see the label; it is not transformed, so the log-determinant is computed as before.

    Half of the dimensions are factored out after the first scale, three quarters after the second. This costs less
    than to transform all dimensions in all layers, and the likelihood trains the layers of each scale directly. The
    deeper the scale of a latent, the larger the region of the image that the latent affects.

    Args:
        shape: (C, H, W), the size of an image.
        scales: L, the number of scales.
        couplings: the number of couplings of each kind at each scale; the last scale has one more. The paper uses 3.
        hidden: the number of channels of the hidden images in each coupling's network.
        blocks: the number of residual blocks in each network.
        alpha: the margin of the :class:`Logit`, the last layer, which maps to dequantised images x in [0, 1).
            ``flow[:-1]`` omits the logit.
        classes: the number of labels, or 0 for a flow without labels.

    Attributes:
        scale_of: (D,), the scale l = 1, 2, ... L at which each latent is factored out; z is z^(1), z^(2), ... z^(L)
            concatenated.
        place_of: (D,), the dimension of x that corresponds to each latent: in a flow that has not been trained,
            latent i moves x[place_of[i]] only.
        latent_shapes: the shape (C_l, H_l, W_l) of each z^(l).

    Raises:
        ValueError: if ``shape`` is not three whole numbers of at least 1, or another size is not such a number; if H
            or W is not a multiple of 2^(L - 1), or the last scale has fewer than 2 pixels; if a flow with classes is
            called without a label.

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
        >>> threes = ImageRealNVP((1, 8, 8), classes=10).given(3)
        >>> FlowDistribution(base, threes).sample((10,)).shape
        torch.Size([10, 64])
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
        classes: int = 0,
    ) -> None:
        shape = channels, height, width = _checked_shape(shape)
        check_sizes(scales=scales, couplings=couplings)
        halved = 2 ** (scales - 1)
        if height % halved or width % halved or height * width < 2 * halved**2:
            raise ValueError(
                f"height and width must be multiples of {halved} and leave at least 2 pixels, because {scales} scales "
                f"halve them {scales - 1} times, but are {height} and {width}; try fewer scales"
            )
        dim = channels * height * width
        down: list[Flow] = [Logit(dim, alpha).inv]
        scale_of, place_of = torch.full((dim,), scales), torch.arange(dim)
        latent_shapes = []

        def add(layer: Flow) -> None:
            """Append a layer of the dimensions that are not yet factored out, which are the last ones."""
            factored_out = torch.arange(dim) < dim - layer.dim
            down.append(FactorOut(factored_out, layer) if factored_out.any() else layer)

        def add_couplings(make_mask: Callable[..., Tensor], count: int) -> None:
            for k in range(count):
                mask = make_mask(channels, height, width, flip=k % 2 == 1)
                network = ConvConditioner(mask, (channels, height, width), hidden, blocks, classes=classes)
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
        self.shape, self.classes = shape, classes
        self.latent_shapes = [*latent_shapes, (channels, height, width)]
        # Not persistent, as the arguments determine them; buffers, so that they move to the device of the flow.
        self.register_buffer("scale_of", scale_of, persistent=False)
        self.register_buffer("place_of", place_of, persistent=False)

    def given(self, label: Tensor | int) -> Stack:
        """Return the flow from z to images with this label, a ``Stack`` that shares the parameters of this flow.

        Args:
            label: whole numbers from 0, one for all images, or (...), one for each: the batch shape of z and x.

        Raises:
            ValueError: if the flow has no classes, or a label is not one of them.
        """
        if not self.classes:
            raise ValueError("the flow must have classes to be given a label, but has none; try classes=10")
        label = torch.as_tensor(label, device=self.scale_of.device)
        if label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
            raise ValueError(f"label must be whole numbers, but is {label.dtype}; try label.long()")
        if label.numel() and not 0 <= label.min() <= label.max() < self.classes:
            raise ValueError(f"label must be from 0 to {self.classes - 1}, but is {label.tolist()}")
        return Stack(*(_given(layer, label.long()) for layer in self.layers))


class _Given(nn.Module):
    """A conditioner whose label is fixed."""

    def __init__(self, conditioner: ConvConditioner, label: Tensor) -> None:
        super().__init__()
        self.conditioner = conditioner
        self.register_buffer("label", label)

    def forward(self, kept: Tensor) -> Tensor:
        return self.conditioner(kept, self.label)


def _given(layer: Flow, label: Tensor) -> Flow:
    """Return a layer of :class:`ImageRealNVP` for a label, with the same parameters."""
    if isinstance(layer, FactorOut):
        return FactorOut(layer.mask, _given(layer.flow, label))
    if not isinstance(layer, AffineCoupling):
        return layer
    coupling = AffineCoupling(layer.mask, conditioner=_Given(layer.conditioner, label))
    coupling.scale = layer.scale
    return coupling


def _checked_classes(classes: int) -> int:
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 0:
        raise ValueError(f"classes must be a whole number, at least 0, but is {classes!r}")
    return classes


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        channels, height, width = shape
    except (TypeError, ValueError):
        raise ValueError(f"shape must be (C, H, W), such as (1, 8, 8), but is {shape!r}") from None
    check_sizes(channels=channels, height=height, width=width)
    return channels, height, width
