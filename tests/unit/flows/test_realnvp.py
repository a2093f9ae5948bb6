"""Coupling layers: the note's equations 3 to 7, entry by entry, for masks of every kind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nfteach.flows import AffineCoupling, BatchNorm, RealNVP, alternating_mask, half_mask

MASKS = {
    "first two of five": [True, True, False, False, False],
    "last two of five": [False, False, False, True, True],
    "alternating": [True, False, True, False, True],
    "scattered": [False, True, True, False, True, False, False],
    "one kept": [False, False, True],
    "one transformed": [True, True, True, False],
}


def wild_coupling(mask: list[bool], **options) -> AffineCoupling:
    layer = AffineCoupling(mask, hidden=(16,), **options).double()
    generator = torch.Generator().manual_seed(len(mask))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def point(dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_equations_3_and_4_dimension_by_dimension(mask: list[bool]) -> None:
    layer, x = wild_coupling(mask), point(len(mask))
    kept = [i for i, passes in enumerate(mask) if passes]
    changed = [i for i, passes in enumerate(mask) if not passes]
    s, t = layer.scale_and_shift(x[kept])
    y = layer(x)
    for i in kept:
        assert y[i].item() == x[i].item()
    for j, i in enumerate(changed):
        torch.testing.assert_close(y[i], x[i] * torch.exp(s[j]) + t[j])
    back = layer.inv(y)
    for j, i in enumerate(changed):
        torch.testing.assert_close(back[i], (y[i] - t[j]) * torch.exp(-s[j]))
    torch.testing.assert_close(back, x)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_equations_6_and_7_block_by_block(mask: list[bool]) -> None:
    layer, x = wild_coupling(mask), point(len(mask), 1)
    J = torch.autograd.functional.jacobian(layer, x)
    kept, changed = layer.mask, ~layer.mask
    s, _ = layer.scale_and_shift(x[kept])
    assert torch.equal(J[kept][:, kept], torch.eye(int(kept.sum())).double())
    assert not J[kept][:, changed].any()
    torch.testing.assert_close(J[changed][:, changed], torch.diag(torch.exp(s)).detach())
    assert bool((J[changed][:, kept].abs() > 1e-9).any())
    torch.testing.assert_close(layer.call_and_ladj(x)[1], torch.linalg.slogdet(J).logabsdet)


def test_the_determinant_depends_on_the_value_of_s_only() -> None:
    class Wild(nn.Module):
        """A conditioner whose s is constant, while the slope of t grows with ``frequency``."""

        def __init__(self, frequency: float) -> None:
            super().__init__()
            self.frequency = frequency

        def forward(self, kept: torch.Tensor) -> torch.Tensor:
            s = torch.tensor([0.3, -0.8], dtype=kept.dtype).expand(*kept.shape[:-1], 2)
            return torch.cat([s, torch.sin(self.frequency * kept[..., :2]) * self.frequency], -1)

    mask, x = [True, True, True, False, False], point(5, 2)
    tame, wild = (AffineCoupling(mask, conditioner=Wild(f)).double() for f in (0.1, 1000.0))
    entries = [torch.autograd.functional.jacobian(layer, x) for layer in (tame, wild)]
    assert float((entries[0] - entries[1]).abs().max()) > 1e3
    torch.testing.assert_close(tame.call_and_ladj(x)[1], wild.call_and_ladj(x)[1])
    torch.testing.assert_close(*(torch.linalg.det(J) for J in entries))


def test_additive_couplings_preserve_volume() -> None:
    layer, x = wild_coupling(MASKS["alternating"], additive=True), point(5, 3)
    y, ladj = layer.call_and_ladj(x)
    assert float(ladj) == 0
    assert float(torch.linalg.det(torch.autograd.functional.jacobian(layer, x))) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(layer.inv(y), x)
    assert not any(name == "scale" for name, _ in layer.named_parameters())


def test_the_learnt_scale_bounds_s() -> None:
    layer = wild_coupling(MASKS["alternating"])
    s, _ = layer.scale_and_shift(torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)).double() * 100)
    assert bool((s.abs() <= layer.scale.abs()).all())


def test_masks_alternate_through_the_stack_so_that_every_dimension_moves() -> None:
    flow = RealNVP(5, layers=3, hidden=(8,))
    assert [layer.mask.int().tolist() for layer in flow] == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 0, 1, 0, 1]]
    x = torch.randn(10, 5, generator=torch.Generator().manual_seed(1))
    assert bool(((flow(x) - x).abs() > 0).all())
    assert [type(layer).__name__ for layer in RealNVP(3, layers=3, batch_norm=True)] == [
        "AffineCoupling", "InverseFlow", "AffineCoupling", "InverseFlow", "AffineCoupling",
    ]  # fmt: skip
    assert half_mask(5).tolist() == [True, True, False, False, False]
    assert half_mask(5, 4, flip=True).tolist() == [False, False, False, False, True]
    assert alternating_mask(3).tolist() == [True, False, True]


def test_a_deep_stack_with_batch_norm_learns_and_then_inverts() -> None:
    torch.manual_seed(0)
    flow = RealNVP(3, layers=4, hidden=(16,), batch_norm=True).train()
    data = torch.randn(256, 3) * torch.tensor([5.0, 0.2, 1.0]) + torch.tensor([10.0, -3.0, 0.0])
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2)

    def loss() -> torch.Tensor:
        z, ladj = flow.inverse_and_ladj(data)
        return (0.5 * z.square().sum(-1) - ladj).mean()

    for _ in range(60):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    flow.eval()
    # The Gaussian that the data came from scores 3/2 + log(5 * 0.2 * 1) = 1.5; the running averages lag a little.
    assert loss().item() < 1.6
    torch.testing.assert_close(flow(flow.inv(data)), data, rtol=1e-3, atol=1e-3)
    moved = [m for m in flow.modules() if isinstance(m, BatchNorm)]
    assert all(not torch.equal(layer.running_var, torch.ones(3)) for layer in moved)


def test_a_loaded_state_brings_its_mask_and_leaves_the_callers_mask_alone() -> None:
    mask = half_mask(4)
    saved, layer = wild_coupling(half_mask(4, flip=True).tolist()), AffineCoupling(mask, hidden=(16,)).double()
    layer.load_state_dict(saved.state_dict())
    x = point(4)
    assert torch.equal(layer(x), saved(x))
    assert torch.equal(layer.inv(x), saved.inv(x))
    assert torch.equal(mask, half_mask(4))


def test_invalid_masks_are_rejected() -> None:
    with pytest.raises(ValueError, match="all True: nothing would be transformed"):
        AffineCoupling([True, True])
    with pytest.raises(ValueError, match="all False: nothing would pass through"):
        AffineCoupling([False, False])
    with pytest.raises(ValueError, match=r"boolean vector \(D,\), but is torch.int64 of shape \(2,\)"):
        AffineCoupling([1, 0])
    with pytest.raises(ValueError, match=r"of shape \(1, 2\)"):
        AffineCoupling([[True, False]])
    with pytest.raises(ValueError, match="dim must be at least 2"):
        RealNVP(1)
    with pytest.raises(ValueError, match="layers must be at least 1"):
        RealNVP(2, layers=0)
