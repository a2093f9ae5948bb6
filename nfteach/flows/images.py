"""Images as flat events: masks over their pixels, and squeezing, which trades space for channels."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_sizes
from .flow import Permutation

__all__ = ["Squeeze", "channel_mask", "checkerboard_mask", "squeeze", "unsqueeze"]


def checkerboard_mask(channels: int, height: int, width: int, flip: bool = False) -> Tensor:
    """Return the mask (C * H * W,) that passes the pixels (i, j) with i + j odd; with ``flip``, with i + j even.

    All channels of a pixel go together. Dimension ``(c * H + i) * W + j`` is channel c of pixel (i, j).

    Raises:
        ValueError: if a size is not a whole number of at least 1, or there is a single pixel, which cannot both pass
            and be transformed.

    References:
        Density Estimation Using Real NVP (Dinh et al., 2017), section 3.4, https://arxiv.org/abs/1605.08803

    Example:
        >>> checkerboard_mask(1, 3, 4).view(3, 4).int()
        tensor([[0, 1, 0, 1],
                [1, 0, 1, 0],
                [0, 1, 0, 1]], dtype=torch.int32)
    """
    check_sizes(channels=channels, height=height, width=width)
    if height * width < 2:
        raise ValueError(f"height and width must give at least 2 pixels, but are {height} and {width}")
    odd = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 1
    return (odd != flip).expand(channels, height, width).flatten()


def channel_mask(channels: int, height: int, width: int, flip: bool = False) -> Tensor:
    """Return the mask (C * H * W,) that passes the first half of the channels; with ``flip``, the second half.

    Raises:
        ValueError: if a size is not a whole number of at least 1, or the number of channels is odd.

    References:
        Dinh et al. (2017), section 3.4, https://arxiv.org/abs/1605.08803

    Example:
        >>> channel_mask(4, 1, 2).view(4, 1, 2)[:, 0].int()
        tensor([[1, 1],
                [1, 1],
                [0, 0],
                [0, 0]], dtype=torch.int32)
    """
    check_sizes(channels=channels, height=height, width=width)
    if channels % 2:
        raise ValueError(f"channels must be even, so that half of them can pass, but is {channels}; squeeze first")
    first = torch.arange(channels) < channels // 2
    return (first != flip)[:, None].expand(channels, height * width).flatten()


def squeeze(x: Tensor) -> Tensor:
    """Turn images (..., C, H, W) into (..., 4 C, H / 2, W / 2): each square of 2 x 2 pixels becomes one pixel.

    The order of the new channels is that of the paper's reshape: first the C channels of the upper left pixel of the
    square, then those of the upper right, the lower left and the lower right pixel. (PyTorch's ``pixel_unshuffle``
    orders by channel first; for C = 1 both orders agree.)

    Raises:
        ValueError: if ``x`` has fewer than three dimensions, or its height or width is odd.

    References:
        Dinh et al. (2017), section 3.6 and figure 3, https://arxiv.org/abs/1605.08803

    Example:
        >>> squeeze(torch.arange(8).view(1, 2, 4)).tolist()
        [[[0, 2]], [[1, 3]], [[4, 6]], [[5, 7]]]
    """
    channels, height, width = _image_shape(x)
    if height % 2 or width % 2:
        raise ValueError(f"height and width of x must be even to be squeezed, but are {height} and {width}")
    squares = x.unflatten(-2, (height // 2, 2)).unflatten(-1, (width // 2, 2))  # (..., C, H / 2, 2, W / 2, 2)
    n = squares.dim() - 5
    places = squares.permute(*range(n), n + 2, n + 4, n, n + 1, n + 3)  # (..., 2, 2, C, H / 2, W / 2)
    return places.reshape(*x.shape[:-3], 4 * channels, height // 2, width // 2)


def unsqueeze(x: Tensor) -> Tensor:
    """Turn images (..., 4 C, H, W) into (..., C, 2 H, 2 W): the inverse of :func:`squeeze`.

    Raises:
        ValueError: if ``x`` has fewer than three dimensions, or its number of channels is not a multiple of 4.
    """
    channels, height, width = _image_shape(x)
    if channels % 4:
        raise ValueError(f"the number of channels of x must be a multiple of 4 to be unsqueezed, but is {channels}")
    places = x.unflatten(-3, (2, 2, channels // 4))  # (..., 2, 2, C, H, W)
    n = places.dim() - 5
    squares = places.permute(*range(n), n + 2, n + 3, n, n + 4, n + 1)  # (..., C, H, 2, W, 2)
    return squares.reshape(*x.shape[:-3], channels // 4, 2 * height, 2 * width)


class Squeeze(Permutation):
    r"""Squeezing as a flow on flat events (C * H * W,), from the order (C, H, W) to (4 C, H / 2, W / 2).

    The values are permuted, so the Jacobian is a permutation matrix and log\|det J\| = 0. ``.inv`` unsqueezes.

    Args:
        channels, height, width: the size of the input image.

    Raises:
        ValueError: if a size is not a whole number of at least 1, or height or width is odd.

    References:
        Dinh et al. (2017), section 3.6, https://arxiv.org/abs/1605.08803

    Example:
        >>> x = torch.randn(5, 1, 4, 6)
        >>> y = Squeeze(1, 4, 6)(x.flatten(1))
        >>> torch.equal(y.view(5, 4, 2, 3), squeeze(x))
        True
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        check_sizes(channels=channels, height=height, width=width)
        dimensions = torch.arange(channels * height * width).view(channels, height, width)
        super().__init__(squeeze(dimensions).flatten())
        self.shape_in = (channels, height, width)
        self.shape_out = (4 * channels, height // 2, width // 2)

    def extra_repr(self) -> str:
        return f"{' x '.join(map(str, self.shape_in))} -> {' x '.join(map(str, self.shape_out))}"


def _image_shape(x: Tensor) -> tuple[int, int, int]:
    if not isinstance(x, Tensor) or x.dim() < 3:
        came = f"the shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ValueError(f"x must be a tensor of images (..., C, H, W), but has {came}")
    return x.shape[-3], x.shape[-2], x.shape[-1]
