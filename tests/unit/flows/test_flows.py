"""The contract of every flow: inverse, log-determinant against the autograd Jacobian, and use within torch."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, MultivariateNormal, Normal, TransformedDistribution

sys.path.insert(0, str(Path(__file__).parent))
from flow_zoo import FLOWS, wild

from nfteach.flows import BatchNorm, Flow, FlowDistribution, Permutation, Planar, RealNVP, Stack

# float64 rounding, grown by condition numbers of up to about 1e5 at these wild parameters.
EXACT = {"rtol": 1e-8, "atol": 1e-8}

every_flow = pytest.mark.parametrize("name", FLOWS)


def build(name: str, dim: int, seed: int = 0, scale: float = 1.0) -> Flow:
    _, make = FLOWS[name]
    return wild(make(dim), torch.Generator().manual_seed(seed), scale)


def draw(shape: tuple[int, ...], seed: int = 0, spread: float = 2.0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1000), dtype=torch.float64) * spread


def autograd_ladj(flow: Flow, x: torch.Tensor) -> torch.Tensor:
    """Compute log|det J| point by point: the full Jacobian, then a general-purpose determinant."""
    rows = [torch.autograd.functional.jacobian(flow, row) for row in x.reshape(-1, flow.dim)]
    return torch.linalg.slogdet(torch.stack(rows)).logabsdet.reshape(x.shape[:-1])


@every_flow
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_log_det_is_that_of_the_autograd_jacobian_and_the_inverse_inverts(name: str, data: st.DataObject) -> None:
    dim = data.draw(st.integers(FLOWS[name][0], 7))
    batch = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    flow = build(name, dim, data.draw(st.integers(0, 10_000)), data.draw(st.sampled_from([0.1, 0.5, 1.0])))
    x = draw((*batch, dim), data.draw(st.integers(0, 10_000)))
    y, ladj = flow.call_and_ladj(x)
    assert y.shape == x.shape
    assert ladj.shape == batch
    torch.testing.assert_close(ladj, autograd_ladj(flow, x), **EXACT)
    back, inverse_ladj = flow.inverse_and_ladj(y)
    torch.testing.assert_close(back, x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inverse_ladj, -ladj, rtol=1e-4, atol=1e-4)


@every_flow
def test_the_inverse_has_the_inverse_jacobian(name: str) -> None:
    flow, x = build(name, 5, scale=0.5), draw((5,))
    y = flow(x)
    forward, backward = (torch.autograd.functional.jacobian(f, at) for f, at in ((flow, x), (flow.inv, y)))
    torch.testing.assert_close(backward @ forward, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)


@every_flow
def test_derived_methods_agree_with_the_two_that_a_layer_writes(name: str) -> None:
    flow, x = build(name, 4, scale=0.5), draw((3, 4))
    y, ladj = flow.call_and_ladj(x)
    assert torch.equal(flow(x), y)
    assert torch.equal(flow.log_abs_det_jacobian(x, y), ladj)
    torch.testing.assert_close(flow.inv(y), x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(flow.inv.log_abs_det_jacobian(y, x), -ladj, rtol=1e-5, atol=1e-6)
    assert flow.inv.inv is flow
    assert "det" in flow.formula
    terms = flow.terms(x)
    assert terms
    assert all(isinstance(value, torch.Tensor) for value in terms.values())
    if "log|det J|" in terms:
        sign = -1 if name == "planar inverse" else 1  # its terms are those of the forward map
        torch.testing.assert_close(sign * terms["log|det J|"], ladj, rtol=1e-6, atol=1e-6)


@every_flow
def test_float32_follows_float64(name: str) -> None:
    flow, x = build(name, 6, scale=0.5), draw((50, 6), spread=1.0)
    y, ladj = flow.call_and_ladj(x)
    y32, ladj32 = copy.deepcopy(flow).float().call_and_ladj(x.float())
    assert y32.dtype == ladj32.dtype == torch.float32
    torch.testing.assert_close(y32.double(), y, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ladj32.double(), ladj, rtol=1e-3, atol=1e-3)


@every_flow
def test_copies_and_saved_states_are_the_same_map(name: str) -> None:
    flow, x = build(name, 4), draw((3, 4))
    _ = flow.inv  # a cached inverse must not prevent a copy
    buffer = io.BytesIO()
    torch.save(flow.state_dict(), buffer)
    buffer.seek(0)
    restored = FLOWS[name][1](4).double().eval()
    restored.load_state_dict(torch.load(buffer))
    for twin in [copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)), restored]:
        assert torch.equal(twin(x), flow(x))
    assert len({flow, copy.deepcopy(flow)}) == 2  # modules are hashable, and equal only to themselves


@every_flow
def test_functional_call_vmap_and_hooks_work(name: str) -> None:
    flow, x = build(name, 4, scale=0.5), draw((3, 4))
    parameters = dict(flow.named_parameters()) | dict(flow.named_buffers())
    assert torch.equal(torch.func.functional_call(flow, parameters, (x,)), flow(x))
    rows = torch.func.vmap(torch.func.jacrev(flow))(x)
    torch.testing.assert_close(rows, torch.stack([torch.autograd.functional.jacobian(flow, r) for r in x]), **EXACT)
    assert torch.func.vmap(flow.inv)(flow(x)).shape == x.shape
    seen = []
    with flow.register_forward_hook(lambda module, inputs, output: seen.append(output)):
        flow(x)
    assert len(seen) == 1


@every_flow
def test_density_through_torch_is_the_fused_density(name: str) -> None:
    flow, x = build(name, 3, scale=0.3), draw((4, 3), spread=1.0)
    base = Normal(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    fused = FlowDistribution(base, flow)
    plain = TransformedDistribution(Independent(base, 1), [flow])
    assert fused.event_shape == (3,)
    assert fused.batch_shape == ()
    torch.testing.assert_close(fused.log_prob(x), plain.log_prob(x), rtol=1e-6, atol=1e-6)
    assert fused.sample((7,)).shape == (7, 3)
    assert fused.expand((2,)).sample((5,)).shape == (5, 2, 3)


@pytest.mark.parametrize("name", [name for name in FLOWS if FLOWS[name][0] <= 2])
def test_two_dimensional_densities_integrate_to_one(name: str) -> None:
    flow = build(name, 2, seed=3, scale=0.5)
    base = Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    # The grid covers the image of the ball of radius 6, outside of which the base holds less than 2e-8.
    angle = torch.linspace(0, 2 * torch.pi, 2000, dtype=torch.float64)
    rim = flow(6 * torch.stack([angle.cos(), angle.sin()], -1)).detach()
    axes = [torch.linspace(float(low) - 1, float(high) + 1, 400, dtype=torch.float64)
            for low, high in zip(rim.amin(0), rim.amax(0), strict=True)]  # fmt: skip
    with torch.no_grad():
        grid = FlowDistribution(base, flow).log_prob(torch.cartesian_prod(*axes)).exp()
    area = (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    assert float(grid.sum() * area) == pytest.approx(1, abs=2e-3)


@every_flow
def test_hundreds_of_dimensions(name: str) -> None:
    flow = FLOWS[name][1](300).double().eval()
    x = draw((2, 300), spread=1.0)
    y, ladj = flow.call_and_ladj(x)
    torch.testing.assert_close(flow.inv(y), x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ladj[:1], autograd_ladj(flow, x[:1]), **EXACT)


@every_flow
def test_invalid_input_is_rejected(name: str) -> None:
    flow = build(name, 4)
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 4\), but has the shape \(128, 3\)"):
        flow(torch.zeros(128, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"floating point, but is torch.int64"):
        flow(torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"floating point, but is torch.complex128"):
        flow(torch.zeros(4, dtype=torch.complex128))
    with pytest.raises(ValueError, match="must be a tensor, but is a list"):
        flow([0.0, 0.0, 0.0, 0.0])
    if any(tensor.is_floating_point() for tensor in flow.state_dict().values()):
        with pytest.raises(ValueError, match=r"x is torch.float32 but the parameters are torch.float64"):
            flow(torch.zeros(4))
    with pytest.raises(ValueError, match="shape"):
        flow.inverse_and_ladj(torch.zeros(3, dtype=torch.float64))


def test_steps_record_the_walk_through_a_stack() -> None:
    stack, x = build("stack of different layers", 3), draw((5, 3))
    steps = stack.steps(x)
    assert [step.index for step in steps] == [0, 1, 2, 3]
    assert [step.layer for step in steps] == list(stack)
    assert torch.equal(steps[0].input, x)
    for before, after in pairwise(steps):
        assert torch.equal(before.output, after.input)
        torch.testing.assert_close(after.running_ladj, before.running_ladj + after.ladj)
    y, ladj = stack.call_and_ladj(x)
    assert torch.equal(steps[-1].output, y)
    torch.testing.assert_close(steps[-1].running_ladj, ladj)
    assert isinstance(stack[1:3], Stack)
    assert stack[0].u is stack[:1][0].u  # a slice shares its parameters


def test_invalid_layers_and_orderings_are_rejected() -> None:
    with pytest.raises(ValueError, match="at least one flow"):
        Stack()
    with pytest.raises(ValueError, match=r"layers\[1\] must be a Flow, but is a Linear"):
        Stack(Planar(2), torch.nn.Linear(2, 2))
    with pytest.raises(
        ValueError, match=r"layers\[1\] must take events of shape \(2,\), as layers\[0\] does, but takes \(3,\)"
    ):
        Stack(Planar(2), Planar(3))
    for order in ([0, 0, 1], [1, 2, 3], [[0, 1]], [0.0, 1.0]):
        with pytest.raises(ValueError, match="ordering must"):
            Permutation(order)
    with pytest.raises(ValueError, match="dim must be a whole number, at least 1, but is 0"):
        Planar(0)


def test_a_permutation_reads_y_i_from_x_ordering_i() -> None:
    y = Permutation([2, 0, 1])(torch.tensor([10.0, 20.0, 30.0]))
    assert y.tolist() == [30.0, 10.0, 20.0]


def test_a_base_of_another_shape_is_rejected() -> None:
    with pytest.raises(
        ValueError, match=r"base must draw events of shape \(3,\), those of the flow, but draws .* batches of \(2,\)"
    ):
        FlowDistribution(Normal(torch.zeros(2), torch.ones(2)), Planar(3))
    with pytest.raises(ValueError, match="flow must be a Flow, but is a ExpTransform"):
        FlowDistribution(Normal(torch.zeros(2), torch.ones(2)), torch.distributions.ExpTransform())


def test_affine_pushforward_of_a_gaussian_is_the_gaussian_known_in_closed_form() -> None:
    class Affine(Flow):
        def __init__(self, matrix: torch.Tensor, shift: torch.Tensor) -> None:
            super().__init__(len(shift))
            self.matrix, self.shift = matrix, shift

        def call_and_ladj(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x @ self.matrix.T + self.shift, torch.linalg.slogdet(self.matrix).logabsdet.expand(x.shape[:-1])

        def inverse_and_ladj(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = torch.linalg.solve(self.matrix, (y - self.shift)[..., None]).squeeze(-1)
            return x, -torch.linalg.slogdet(self.matrix).logabsdet.expand(y.shape[:-1])

    matrix, shift, x = draw((3, 3)), draw((3,), 1), draw((6, 3), 2)
    base = Normal(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    closed_form = MultivariateNormal(shift, matrix @ matrix.T)
    torch.testing.assert_close(FlowDistribution(base, Affine(matrix, shift)).log_prob(x), closed_form.log_prob(x))


def test_a_layer_without_a_direction_names_the_missing_method() -> None:
    with pytest.raises(TypeError, match=r"Flow must define call_and_ladj\(self, x\)"):
        Flow(2)(torch.zeros(2))
    with pytest.raises(TypeError, match=r"Flow must define inverse_and_ladj\(self, y\)"):
        Flow(2).inv(torch.zeros(2))


def test_an_optimiser_step_changes_the_density_immediately() -> None:
    flow = RealNVP(3, layers=2, hidden=(8,))
    q = FlowDistribution(Normal(torch.zeros(3), torch.ones(3)), flow)
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)) + 1
    optimiser = torch.optim.SGD(flow.parameters(), lr=0.05)
    before = -q.log_prob(x).mean()
    before.backward()
    optimiser.step()
    assert (-q.log_prob(x).mean()).item() < before.item()
    assert flow.with_cache(1) is flow  # a cache would hide the step


def test_batch_norm_normalises_its_batch_and_stores_its_statistics() -> None:
    layer, x = BatchNorm(3, momentum=1.0).double().train(), draw((40, 3)) * 3 + 5
    y, ladj = layer.call_and_ladj(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(y.var(0, unbiased=False), torch.ones(3, dtype=torch.float64), rtol=1e-4, atol=0)
    layer.eval()
    torch.testing.assert_close(layer(x), y)
    torch.testing.assert_close(layer.call_and_ladj(x)[1], ladj)
    layer.train()
    with pytest.raises(ValueError, match="BatchNorm must be in evaluation mode for its inverse"):
        layer.inv(y)
    with pytest.raises(ValueError, match="at least 2 samples in training mode, but holds 1"):
        layer(x[:1])
    torch.testing.assert_close(layer.terms(x)["log|det J|"], layer.call_and_ladj(x)[1])
    with pytest.raises(ValueError, match=r"x is torch.float64 but the parameters are torch.float32"):
        BatchNorm(3)(x)


def test_pyro_can_use_a_flow() -> None:
    # In a separate process: pyro patches torch.distributions when imported.
    program = """
import pyro, pyro.distributions as dist, torch
from nfteach.flows import RealNVP
pyro.set_rng_seed(0)
flow = RealNVP(3, layers=2, hidden=(8,))
def model(data):
    pyro.module("flow", flow)
    with pyro.plate("data", len(data)):
        base = dist.Normal(torch.zeros(3), 1.0).to_event(1)
        return pyro.sample("x", dist.TransformedDistribution(base, [flow]), obs=data)
data = torch.randn(20, 3)
svi = pyro.infer.SVI(model, lambda data: None, pyro.optim.Adam({"lr": 1e-2}), pyro.infer.Trace_ELBO())
losses = [svi.step(data) for _ in range(30)]
assert losses[-1] < losses[0] - 1, losses
log_prob = pyro.poutine.trace(model).get_trace(data).log_prob_sum()
expected = (dist.Normal(0.0, 1.0).log_prob(flow.inv(data)).sum() + flow.inverse_and_ladj(data)[1].sum())
assert torch.allclose(log_prob, expected, rtol=1e-4), (log_prob, expected)
print("pyro", "ok")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "pyro ok", done.stderr
