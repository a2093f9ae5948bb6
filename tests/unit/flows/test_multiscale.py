"""RealNVP on images, against the paper's recursion written out, autograd, and the formula of each part."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch.distributions import Normal
from torch.nn.functional import conv2d, silu

from nfteach.flows import (
    AffineCoupling,
    ConvConditioner,
    FactorOut,
    FlowDistribution,
    ImageRealNVP,
    InverseFlow,
    Logit,
    Permutation,
    Planar,
    Squeeze,
    Stack,
    channel_mask,
    checkerboard_mask,
    half_mask,
    squeeze,
)
from nfteach.jacobian import inspect_jacobian

CASES = {  # shape, scales, couplings
    "one channel 4 x 4": ((1, 4, 4), 2, 3),
    "three channels 4 x 4": ((3, 4, 4), 2, 2),
    "one channel 8 x 8": ((1, 8, 8), 2, 2),
    "three scales": ((1, 8, 8), 3, 1),
    "three channels 8 x 8": ((3, 8, 8), 2, 1),
    "not square, odd at the last scale": ((1, 6, 10), 2, 2),
    "one scale, odd sizes": ((2, 3, 5), 1, 2),
}
every_case = pytest.mark.parametrize("case", CASES)


def moved(case: str, seed: int = 0) -> ImageRealNVP:
    """Return the flow of a case in float64, its parameters far from their initial values."""
    shape, scales, couplings = CASES[case]
    flow = ImageRealNVP(shape, scales, couplings, hidden=5).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return flow


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + 100), dtype=torch.float64)


# The whole flow.


@every_case
def test_log_det_is_that_of_the_autograd_jacobian_and_the_inverse_inverts(case: str) -> None:
    flow = moved(case)
    z = draw(2, flow.dim)
    x, ladj = flow.call_and_ladj(z)
    J = torch.stack([torch.autograd.functional.jacobian(flow, row, vectorize=True) for row in z])
    torch.testing.assert_close(ladj, torch.linalg.slogdet(J).logabsdet, rtol=1e-9, atol=1e-9)
    back, inverse_ladj = flow.inverse_and_ladj(x)
    torch.testing.assert_close(back, z, rtol=1e-7, atol=1e-7)  # the logit costs digits
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=1e-8, atol=1e-8)


@every_case
def test_the_flow_is_the_papers_recursion(case: str) -> None:
    # Equations 14 to 16: h_0 = x; (z_l, h_l) = f_l(h_(l-1)); z_L = f_L(h_(L-1)). On real images, with nothing flat.
    flow = moved(case, seed=1)
    shape, scales, couplings = CASES[case]
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    p = 0.05 + 0.9 * x
    h, total = torch.log(p / (1 - p)), torch.log(0.9 / (p * (1 - p))).sum((1, 2, 3))
    networks = [layer for layer in flow.modules() if isinstance(layer, AffineCoupling)][::-1]
    latents = []
    for scale in range(1, scales + 1):
        for kind in ["board"] * (couplings + (scale == scales)) + (["channel"] * couplings) * (scale < scales):
            k = sum(1 for record in latents if isinstance(record, str) and record == f"{scale} {kind}")
            latents.append(f"{scale} {kind}")
            if kind == "channel" and k == 0:
                h = squeeze(h)
            _, channels, height, width = h.shape
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            b = (rows + columns) % 2 == 1 if kind == "board" else torch.arange(channels)[:, None, None] < channels // 2
            b = (b if k % 2 == 0 else ~b).expand(channels, height, width)
            layer = networks.pop(0)
            s, t = layer.scale_and_shift(h[:, b])
            h, total = h.clone(), total - s.sum(1)
            h[:, ~b] = (h[:, ~b] - t) * torch.exp(-s)
        if scale < scales:
            leaving, h = h.chunk(2, dim=1)
            latents.append(leaving)
    latents = [z for z in [*latents, h] if not isinstance(z, str)]
    assert not networks
    assert [tuple(z.shape[1:]) for z in latents] == flow.latent_shapes
    z, ladj = flow.inverse_and_ladj(x.flatten(1))
    torch.testing.assert_close(z, torch.cat([z.flatten(1) for z in latents], 1))
    torch.testing.assert_close(ladj, total)
    for scale, latent in enumerate(latents, 1):
        torch.testing.assert_close(z[:, flow.scale_of == scale], latent.flatten(1))


@every_case
def test_an_untrained_flow_is_the_logit_with_each_latent_at_its_place(case: str) -> None:
    shape, scales, couplings = CASES[case]
    flow = ImageRealNVP(shape, scales, couplings, hidden=3)
    z = torch.randn(4, flow.dim)
    plain, plain_ladj = Logit(flow.dim).inverse_and_ladj(z)
    x, ladj = flow.call_and_ladj(z)
    # A processor's vector unit may round the last elements differently, so the two are not compared to the bit.
    torch.testing.assert_close(x[:, flow.place_of], plain)
    torch.testing.assert_close(ladj, plain_ladj)
    assert sorted(flow.place_of.tolist()) == list(range(flow.dim))
    assert [int((flow.scale_of == l).sum()) for l in range(1, scales + 1)] == list(map(math.prod, flow.latent_shapes))


def test_half_of_the_dimensions_are_factored_out_at_each_scale() -> None:
    flow = ImageRealNVP((3, 16, 8), scales=3, couplings=1, hidden=2)
    assert flow.latent_shapes == [(6, 8, 4), (12, 4, 2), (12, 4, 2)]
    assert flow.scale_of.tolist() == [1] * 192 + [2] * 96 + [3] * 96


@every_case
def test_deeper_scales_leave_factored_out_dimensions_unchanged(case: str) -> None:
    flow = moved(case)
    steps = flow.steps(draw(flow.dim))
    for step in steps[:-1]:
        active = step.layer.flow.dim if isinstance(step.layer, FactorOut) else flow.dim
        assert torch.equal(step.output[: flow.dim - active], step.input[: flow.dim - active])
    torch.testing.assert_close(steps[-1].running_ladj, flow.call_and_ladj(draw(flow.dim))[1])
    _, scales, couplings = CASES[case]
    kinds = [layer.flow if isinstance(layer, FactorOut) else layer for layer in flow]
    kinds = [type(k.inv if isinstance(k, InverseFlow) else k) for k in kinds][::-1]
    scale = [*[AffineCoupling] * couplings, Squeeze, *[AffineCoupling] * couplings]
    assert kinds == [Logit, *scale * (scales - 1), *[AffineCoupling] * (couplings + 1)]


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4)], ids=str)
def test_the_jacobian_report_is_sound(shape: tuple[int, int, int]) -> None:
    flow = ImageRealNVP(shape, couplings=1, hidden=4)
    report = inspect_jacobian(flow, torch.randn(2, flow.dim), perturb=0.5)
    assert report.check().moved
    assert float(report.log_det_jacobian.abs().max()) > 1
    for layer in moved("one channel 4 x 4"):
        assert inspect_jacobian(layer, draw(1, 16)).ok


@every_case
def test_copies_and_saved_states_are_the_same_map(case: str) -> None:
    flow = moved(case)
    shape, scales, couplings = CASES[case]
    restored = ImageRealNVP(shape, scales, couplings, hidden=5).double()
    restored.load_state_dict(flow.state_dict())
    z = draw(2, flow.dim)
    for twin in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)), restored):
        assert torch.equal(twin(z), flow(z))
        assert torch.equal(twin.place_of, flow.place_of)
    twin = copy.deepcopy(flow).float()
    torch.testing.assert_close(twin(z.float()).double(), flow(z), rtol=1e-3, atol=1e-4)


def test_vmap_functional_call_and_batches_of_any_shape_work() -> None:
    flow = moved("one channel 4 x 4")
    z = draw(2, 3, 16)
    x, ladj = flow.call_and_ladj(z)
    assert ladj.shape == (2, 3)
    torch.testing.assert_close(flow(z[1, 2]), x[1, 2])
    assert flow(z[:0]).shape == (0, 3, 16)
    torch.testing.assert_close(torch.func.vmap(flow)(z[0]), x[0])
    torch.testing.assert_close(torch.func.vmap(flow.inv)(x[0]), z[0], rtol=1e-7, atol=1e-7)
    J = torch.func.vmap(torch.func.jacrev(flow))(z[0])
    torch.testing.assert_close(torch.linalg.slogdet(J).logabsdet, ladj[0])
    state = dict(flow.named_parameters()) | dict(flow.named_buffers())
    assert torch.equal(torch.func.functional_call(flow, state, (z,)), x)


def test_the_density_integrates_to_one_over_its_support() -> None:
    flow = ImageRealNVP((1, 1, 2), scales=1, hidden=4).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    # The midpoint rule is accurate: the density is smooth, and zero at the border of its support.
    q = FlowDistribution(Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)), flow)
    margin, n = 0.05 / 0.9, 300
    axis = -margin + (1 + 2 * margin) * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    with torch.no_grad():
        log_prob = q.log_prob(torch.cartesian_prod(axis, axis))
    assert float(log_prob.exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-3)
    assert q.support.check(q.sample((100,))).all()
    assert not q.support.check(torch.tensor([0.5, 1.2], dtype=torch.float64))


def test_training_finds_dependence_between_pixels() -> None:
    # The two columns on the left are the mirror image of those on the right, up to a little noise.
    half = torch.rand(128, 4, 2)
    x = (torch.cat([half, half.flip(2)], 2) + 0.02 * torch.randn(128, 4, 4)).clamp(0, 1).flatten(1)
    flow = ImageRealNVP((1, 4, 4), hidden=8)
    q = FlowDistribution(Normal(torch.zeros(16), torch.ones(16)), flow)
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(30):
        loss = -q.log_prob(x).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # Pixel by pixel the data is uniform: log q = 0 at best for independent pixels.
    assert loss.item() < -4


# With labels.


def labelled(seed: int = 4) -> ImageRealNVP:
    flow = ImageRealNVP((1, 4, 4), couplings=1, hidden=5, classes=3).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return flow


def test_a_flow_given_labels_is_for_each_sample_the_flow_of_its_label() -> None:
    flow, z, label = labelled(), draw(6, 16), torch.tensor([2, 0, 1, 1, 0, 2])
    x, ladj = flow.given(label).call_and_ladj(z)
    for k in range(6):
        one, one_ladj = flow.given(int(label[k])).call_and_ladj(z[k])
        torch.testing.assert_close(x[k], one)
        torch.testing.assert_close(ladj[k], one_ladj)
    assert not torch.isclose(flow.given(0)(z), flow.given(1)(z)).all(-1).any()
    torch.testing.assert_close(flow.given(label).inv(x), z, rtol=1e-7, atol=1e-7)
    # A batch of two dimensions, and labels that broadcast against it.
    torch.testing.assert_close(flow.given(label[:3])(z.view(2, 3, 16))[1, 2], flow.given(1)(z[5]))


@pytest.mark.parametrize("label", [0, 2])
def test_the_jacobian_report_of_a_flow_given_a_label_is_sound(label: int) -> None:
    report = inspect_jacobian(labelled().given(label), draw(3, 16))
    assert report.ok
    assert report.inverse_error is not None


def test_a_flow_given_labels_shares_the_parameters() -> None:
    flow = labelled()
    given = flow.given(torch.tensor([0, 1]))
    assert {id(one) for one in given.parameters()} == {id(one) for one in flow.parameters()}
    given(draw(2, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in flow.parameters())


def test_the_conditioner_with_labels_adds_channels_and_has_a_bias_for_each() -> None:
    mask, shape, label = checkerboard_mask(2, 3, 4), (2, 3, 4), torch.tensor([3, 0, 1])
    network = ConvConditioner(mask, shape, hidden=6, blocks=1, classes=5).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.4)
    x = draw(3, *shape)
    planes = torch.zeros(3, 5, 3, 4, dtype=torch.float64)
    for k in range(3):
        planes[k, label[k]] = 1
    h = conv2d(torch.cat([x * mask.view(shape), planes], 1), network.first.weight, network.first.bias, padding=1)
    h = h + conv2d(silu(h), network.blocks[0].weight, network.blocks[0].bias, padding=1)
    s, t = conv2d(silu(h), network.last.weight).chunk(2, dim=1)
    expected = torch.cat([s[:, ~mask.view(shape)], t[:, ~mask.view(shape)]], 1)
    expected = expected + torch.stack([network.bias[k] for k in label])
    torch.testing.assert_close(network(x.flatten(1)[:, mask], label), expected)


def test_invalid_labels_are_rejected() -> None:
    flow, z = labelled(), draw(2, 16)
    with pytest.raises(ValueError, match=r"label must be given, .* try flow.given\(label\)"):
        flow(z)
    with pytest.raises(ValueError, match="the flow must have classes to be given a label, but has none; try"):
        ImageRealNVP((1, 4, 4)).given(0)
    for label in (3, -1, torch.tensor([0, 3])):
        with pytest.raises(ValueError, match="label must be from 0 to 2, but is"):
            flow.given(label)
    with pytest.raises(ValueError, match=r"label must be whole numbers, but is torch.float32; try label.long\(\)"):
        flow.given(torch.tensor([0.0, 1.0]))
    for classes in (-1, 2.0, True):
        with pytest.raises(ValueError, match="classes must be a whole number, at least 0"):
            ImageRealNVP((1, 4, 4), classes=classes)


# Its parts.


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 6), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("make", [checkerboard_mask, channel_mask])
def test_the_conditioner_maps_b_x_to_s_and_t_of_the_rest(shape: tuple[int, int, int], make) -> None:
    if make is channel_mask:
        shape = (2 * shape[0], *shape[1:])
    mask = make(*shape)
    network = ConvConditioner(mask, shape, hidden=6, blocks=2).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.4)
    x = draw(3, *shape)
    h = conv2d(x * mask.view(shape), network.first.weight, network.first.bias, padding=1)
    for block in network.blocks:
        h = h + conv2d(silu(h), block.weight, block.bias, padding=1)
    s, t = conv2d(silu(h), network.last.weight).chunk(2, dim=1)
    expected = torch.cat([s[:, ~mask.view(shape)], t[:, ~mask.view(shape)]], 1) + network.bias
    torch.testing.assert_close(network(x.flatten(1)[:, mask]), expected)
    torch.testing.assert_close(network(x[0].flatten()[mask]), expected[0])


@pytest.mark.parametrize(
    "mask", [half_mask(5), half_mask(5, 2, flip=True), torch.tensor([True, False, True, False, False])], ids=str
)
def test_factoring_out_makes_the_jacobian_block_diagonal(mask: torch.Tensor) -> None:
    part = Planar(int((~mask).sum())).double()
    flow, x = FactorOut(mask, part), draw(4, 5)
    y, ladj = flow.call_and_ladj(x)
    assert torch.equal(y[:, mask], x[:, mask])
    assert torch.equal(y[:, ~mask], part(x[:, ~mask]))
    J = torch.autograd.functional.jacobian(flow, x[0])
    assert torch.equal(J[mask][:, mask], torch.eye(int(mask.sum())).double())
    assert not J[mask][:, ~mask].any()
    assert not J[~mask][:, mask].any()
    torch.testing.assert_close(J[~mask][:, ~mask], torch.autograd.functional.jacobian(part, x[0, ~mask]))
    torch.testing.assert_close(ladj, part.call_and_ladj(x[:, ~mask])[1])
    torch.testing.assert_close(ladj[0], torch.linalg.slogdet(J).logabsdet)
    back, inverse_ladj = flow.inverse_and_ladj(y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(inverse_ladj, -ladj)
    assert flow.terms(x).keys() == {"x_A", *part.terms(x[:, ~mask])}


def test_log_dets_add_up_through_nested_factoring_out() -> None:
    inner = AffineCoupling([True, False], hidden=(4,)).double()
    flow, x = FactorOut(half_mask(4), Stack(inner, FactorOut([True, False], Planar(1).double()))), draw(6, 4)
    first, second = flow.flow
    middle = first(x[:, 2:])
    expected = first.call_and_ladj(x[:, 2:])[1] + second.flow.call_and_ladj(middle[:, 1:])[1]
    torch.testing.assert_close(flow.call_and_ladj(x)[1], expected)


def test_invalid_sizes_and_masks_of_images_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"must be multiples of 2 and .* but are 5 and 4; try fewer scales"):
        ImageRealNVP((1, 5, 4))
    with pytest.raises(ValueError, match=r"multiples of 4 .* because 3 scales halve them 2 times, but are 8 and 6"):
        ImageRealNVP((1, 8, 6), scales=3)
    with pytest.raises(ValueError, match=r"leave at least 2 pixels, .* but are 2 and 2"):
        ImageRealNVP((1, 2, 2))
    for shape in (64, (8, 8), "8x8x8x", (1, 1, 8, 8)):
        with pytest.raises(ValueError, match=r"shape must be \(C, H, W\), such as \(1, 8, 8\), but is"):
            ImageRealNVP(shape)
    with pytest.raises(ValueError, match="channels must be a whole number, at least 1, but is 0"):
        ImageRealNVP((0, 8, 8))
    for name in ("scales", "couplings", "hidden", "blocks"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number, at least 1, but is 0"):
            ImageRealNVP((1, 8, 8), **{name: 0})
    with pytest.raises(ValueError, match="alpha must be a number"):
        ImageRealNVP((1, 8, 8), alpha=0.7)
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 64\), but has the shape \(2, 1, 8, 8\)"):
        ImageRealNVP().inv(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r"boolean vector \(16,\), but is torch.bool of shape \(4,\)"):
        ConvConditioner(half_mask(4), (1, 4, 4))


def test_invalid_arguments_of_factoring_out_are_rejected() -> None:
    with pytest.raises(ValueError, match="all True: nothing would be transformed"):
        FactorOut([True, True], Permutation([0]))
    with pytest.raises(ValueError, match="all False: nothing would pass through"):
        FactorOut([False, False], Permutation([0, 1]))
    with pytest.raises(ValueError, match=r"boolean vector \(D,\), but is torch.int64"):
        FactorOut([1, 0], Permutation([0]))
    with pytest.raises(ValueError, match="flow must be a Flow, but is a Linear"):
        FactorOut([True, False], torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"must take events of shape \(1,\), .* but takes events of shape \(2,\)"):
        FactorOut([True, False], Permutation([0, 1]))
