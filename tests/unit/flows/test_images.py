"""Masks over pixels and squeezing, against the paper's figures, plain loops and PyTorch's shuffle."""

from __future__ import annotations

import pytest
import torch

from nfteach.flows import AffineCoupling, Squeeze, Stack, channel_mask, checkerboard_mask, squeeze, unsqueeze
from nfteach.jacobian import inspect_jacobian

SIZES = [(1, 4, 4), (3, 4, 4), (1, 8, 8), (3, 8, 8), (2, 3, 5), (3, 1, 2), (1, 7, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("flip", [False, True])
def test_the_checkerboard_is_the_parity_of_row_plus_column(size: tuple[int, int, int], flip: bool) -> None:
    channels, height, width = size
    mask = checkerboard_mask(channels, height, width, flip)
    assert mask.dtype == torch.bool
    assert mask.shape == (channels * height * width,)
    expected = [(i + j) % 2 == (0 if flip else 1) for _ in range(channels) for i in range(height) for j in range(width)]
    assert mask.tolist() == expected


def test_the_checkerboard_is_that_of_the_papers_figure() -> None:
    # Section 3.4: 1 where the sum of the coordinates is odd. No two neighbours agree.
    board = checkerboard_mask(1, 4, 4).view(4, 4)
    assert board.int().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]
    assert bool((board[1:] != board[:-1]).all())
    assert bool((board[:, 1:] != board[:, :-1]).all())


@pytest.mark.parametrize("size", [(2, 3, 5), (4, 2, 2), (12, 4, 4), (2, 1, 1)], ids=str)
@pytest.mark.parametrize("flip", [False, True])
def test_the_channel_mask_is_half_of_the_channels(size: tuple[int, int, int], flip: bool) -> None:
    channels, height, width = size
    mask = channel_mask(channels, height, width, flip)
    assert mask.dtype == torch.bool
    passed = range(channels // 2, channels) if flip else range(channels // 2)
    assert mask.tolist() == [c in passed for c in range(channels) for _ in range(height * width)]


def test_masks_own_their_memory_and_make_couplings() -> None:
    for make in (checkerboard_mask, channel_mask):
        mask = make(2, 2, 2)
        layer = AffineCoupling(mask, hidden=(4,))
        mask[0] = ~mask[0]  # an expanded view would change other entries with it
        assert int((mask != make(2, 2, 2)).sum()) == 1
        assert torch.equal(layer.mask, make(2, 2, 2))


@pytest.mark.parametrize("size", [(1, 4, 4), (3, 4, 4), (1, 8, 8), (3, 8, 8), (2, 6, 4), (5, 2, 2)], ids=str)
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
def test_squeezing_against_a_plain_loop(size: tuple[int, int, int], batch: tuple[int, ...]) -> None:
    channels, height, width = size
    x = torch.randn(*batch, *size)
    expected = torch.full((*batch, 4 * channels, height // 2, width // 2), torch.nan)
    for i in range(height // 2):
        for j in range(width // 2):
            # "Subsquares of shape 2 x 2 x c, reshaped into subsquares of shape 1 x 1 x 4c": section 3.6.
            k = 0
            for di in range(2):
                for dj in range(2):
                    for c in range(channels):
                        expected[..., k, i, j] = x[..., c, 2 * i + di, 2 * j + dj]
                        k += 1
    y = squeeze(x)
    assert torch.equal(y, expected)
    assert torch.equal(unsqueeze(y), x)
    assert torch.equal(squeeze(unsqueeze(y)), y)
    if channels == 1:
        assert torch.equal(y, torch.nn.functional.pixel_unshuffle(x, 2))


@pytest.mark.parametrize("size", [(1, 4, 4), (3, 8, 8), (2, 6, 4)], ids=str)
def test_squeezing_as_a_flow_moves_flat_events_in_the_same_way(size: tuple[int, int, int]) -> None:
    flow, x = Squeeze(*size), torch.randn(5, *size, dtype=torch.float64)
    y, ladj = flow.call_and_ladj(x.flatten(1))
    assert torch.equal(y.view(5, *flow.shape_out), squeeze(x))
    assert torch.equal(ladj, torch.zeros(5, dtype=torch.float64))
    assert torch.equal(flow.inv(y).view(5, *size), x)
    report = inspect_jacobian(flow, x.flatten(1)[:2])
    assert report.ok
    assert report.structure.name == "permutation"
    rows = [[int(torch.nonzero(row)) for row in J] for J in report.jacobian.int()]
    assert rows == [flow.ordering.tolist()] * 2


def test_unsqueezing_undoes_squeezing() -> None:
    squeezed_twice = Stack(Squeeze(1, 4, 4), Squeeze(4, 2, 2), Squeeze(4, 2, 2).inv, Squeeze(1, 4, 4).inv)
    x = torch.randn(2, 16)
    assert torch.equal(squeezed_twice(x), x)
    assert not torch.equal(squeezed_twice[:2](x), x)
    assert "1 x 4 x 4 -> 4 x 2 x 2" in repr(squeezed_twice)


def test_a_squeezed_checkerboard_is_two_channels() -> None:
    # Channel masks follow because a squeezed checkerboard masks whole channels: the outer or the two middle ones.
    board = squeeze(checkerboard_mask(1, 6, 4).view(1, 6, 4))
    assert [bool(channel.all()) for channel in board] == [False, True, True, False]
    assert [bool(channel.any()) for channel in board] == [False, True, True, False]


def test_invalid_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least 2 pixels, but are 1 and 1"):
        checkerboard_mask(4, 1, 1)
    with pytest.raises(ValueError, match="height must be a whole number, at least 1, but is 0"):
        checkerboard_mask(1, 0, 2)
    with pytest.raises(ValueError, match="channels must be even, so that half of them can pass, but is 3"):
        channel_mask(3, 2, 2)
    with pytest.raises(ValueError, match="channels must be a whole number, at least 1, but is 0"):
        channel_mask(0, 2, 2)
    with pytest.raises(ValueError, match="must be even to be squeezed, but are 3 and 4"):
        squeeze(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="must be even to be squeezed, but are 4 and 5"):
        Squeeze(1, 4, 5)
    with pytest.raises(ValueError, match="width must be a whole number, at least 1, but is -2"):
        Squeeze(1, 4, -2)
    with pytest.raises(ValueError, match="multiple of 4 to be unsqueezed, but is 6"):
        unsqueeze(torch.zeros(6, 2, 2))
    with pytest.raises(ValueError, match=r"images \(\.\.\., C, H, W\), but has the shape \(4, 4\)"):
        squeeze(torch.zeros(4, 4))
    with pytest.raises(ValueError, match="but has a list"):
        unsqueeze([[[0.0]]])
